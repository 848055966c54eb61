-- Environments. RELEASE (id DEFAULT_ENVIRONMENT_RELEASE_ID) is made with its gateway.

CREATE TABLE environment (
    instance_id text NOT NULL CONSTRAINT environment_instance_fkey
                REFERENCES instance (id) ON DELETE CASCADE,
    id          text NOT NULL,
    name        text NOT NULL,
    remark      text,
    create_time timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (instance_id, id),
    CONSTRAINT environment_name_key UNIQUE (instance_id, name)
);
CREATE INDEX environment_list ON environment (instance_id, create_time, id);
CREATE INDEX environment_name_trgm ON environment USING gin (name gin_trgm_ops);

CREATE VIEW environment_json AS
SELECT instance_id, id, jsonb_strip_nulls(jsonb_build_object(
    'id', id, 'name', name, 'remark', remark, 'create_time', api_time(create_time))) AS body
FROM environment;
