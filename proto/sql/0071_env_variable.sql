-- Variables of a group in an environment, put into its APIs when they are published.

CREATE TABLE env_variable (
    instance_id    text NOT NULL CONSTRAINT env_variable_instance_fkey
                   REFERENCES instance (id) ON DELETE CASCADE,
    id             text NOT NULL,
    group_id       text NOT NULL,
    env_id         text NOT NULL,
    variable_name  text NOT NULL,
    variable_value text NOT NULL,
    create_time    timestamptz NOT NULL DEFAULT now(),
    -- what the quota counts by
    place          text NOT NULL GENERATED ALWAYS AS (group_id || '/' || env_id) STORED,
    PRIMARY KEY (instance_id, id),
    CONSTRAINT env_variable_group_fkey FOREIGN KEY (instance_id, group_id)
        REFERENCES api_group (instance_id, id) ON DELETE CASCADE,
    CONSTRAINT env_variable_env_fkey FOREIGN KEY (instance_id, env_id)
        REFERENCES environment (instance_id, id) ON DELETE CASCADE,
    CONSTRAINT env_variable_name_key UNIQUE (instance_id, group_id, env_id, variable_name)
);
CREATE INDEX env_variable_env ON env_variable (instance_id, env_id);

CREATE VIEW env_variable_json AS
SELECT instance_id, id, jsonb_build_object(
    'id', id, 'group_id', group_id, 'env_id', env_id, 'variable_name', variable_name,
    'variable_value', variable_value) AS body
FROM env_variable;
