-- Apps, their AppCodes, and which published APIs they may call. Secrets are sealed under the
-- deployment's key; a keyed hash beside each keeps it unique and lets it be found.

CREATE TABLE app (
    instance_id   text NOT NULL CONSTRAINT app_instance_fkey
                  REFERENCES instance (id) ON DELETE CASCADE,
    id            text NOT NULL,
    name          text NOT NULL,
    remark        text,
    app_key       text NOT NULL,
    app_secret    bytea NOT NULL,       -- context app_secret:<id>
    app_secret_lookup text NOT NULL,    -- context app_secret
    domain_id     text NOT NULL,        -- account that owns the app
    status        integer NOT NULL DEFAULT 1,
    creator       text NOT NULL DEFAULT 'USER',
    register_time timestamptz NOT NULL DEFAULT now(),
    update_time   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (instance_id, id),
    CONSTRAINT app_name_key UNIQUE (instance_id, name),
    CONSTRAINT app_key_key UNIQUE (instance_id, app_key)
);
CREATE INDEX app_list ON app (instance_id, register_time DESC, id);
CREATE INDEX app_name_trgm ON app USING gin (name gin_trgm_ops);

CREATE TABLE app_code (
    instance_id text NOT NULL CONSTRAINT app_code_instance_fkey
                REFERENCES instance (id) ON DELETE CASCADE,
    id          text NOT NULL,
    app_id      text NOT NULL,
    app_code    bytea NOT NULL,         -- context app_code:<id>
    app_code_lookup text NOT NULL,      -- context app_code
    create_time timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (instance_id, id),
    CONSTRAINT app_code_app_fkey FOREIGN KEY (instance_id, app_id)
        REFERENCES app (instance_id, id) ON DELETE CASCADE,
    CONSTRAINT app_code_value_key UNIQUE (instance_id, app_code_lookup)
);
CREATE INDEX app_code_app ON app_code (instance_id, app_id, create_time, id);

CREATE TABLE app_auth (
    instance_id text NOT NULL CONSTRAINT app_auth_instance_fkey
                REFERENCES instance (id) ON DELETE CASCADE,
    id          text NOT NULL,
    app_id      text NOT NULL,
    api_id      text NOT NULL,
    env_id      text NOT NULL,
    auth_role   text NOT NULL DEFAULT 'PROVIDER',
    auth_time   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (instance_id, id),
    CONSTRAINT app_auth_app_fkey FOREIGN KEY (instance_id, app_id)
        REFERENCES app (instance_id, id) ON DELETE CASCADE,
    CONSTRAINT app_auth_api_fkey FOREIGN KEY (instance_id, api_id)
        REFERENCES api (instance_id, id) ON DELETE CASCADE,
    CONSTRAINT app_auth_env_fkey FOREIGN KEY (instance_id, env_id)
        REFERENCES environment (instance_id, id) ON DELETE CASCADE,
    CONSTRAINT app_auth_pair_key UNIQUE (instance_id, app_id, api_id, env_id)
);
CREATE INDEX app_auth_api ON app_auth (instance_id, api_id, env_id);
CREATE INDEX app_auth_env ON app_auth (instance_id, env_id);

-- The worker adds app_secret, which PostgreSQL cannot read.
CREATE VIEW app_json AS
SELECT instance_id, id, jsonb_strip_nulls(jsonb_build_object(
    'id', id, 'name', name, 'remark', remark, 'creator', creator, 'app_key', app_key,
    'register_time', api_time(register_time), 'update_time', api_time(update_time),
    'status', status, 'app_type', 'apig')) AS body
FROM app;

CREATE VIEW app_list_json AS
SELECT a.instance_id, a.id, a.body || jsonb_build_object('bind_num', (
    SELECT count(*) FROM app_auth u WHERE u.instance_id = a.instance_id AND u.app_id = a.id)) AS body
FROM app_json a;

-- The worker adds app_code.
CREATE VIEW app_code_json AS
SELECT instance_id, id, jsonb_build_object(
    'id', id, 'app_id', app_id, 'create_time', api_time(create_time)) AS body
FROM app_code;

CREATE VIEW app_auth_json AS
SELECT instance_id, id, jsonb_build_object(
    'id', id, 'api_id', api_id, 'app_id', app_id, 'auth_role', auth_role,
    'auth_tunnel', 'NORMAL', 'auth_time', api_time(auth_time)) AS body
FROM app_auth;
