-- APIs, where they are published, and the versions that were.

CREATE TABLE api (
    instance_id          text NOT NULL CONSTRAINT api_instance_fkey
                         REFERENCES instance (id) ON DELETE CASCADE,
    id                   text NOT NULL,
    group_id             text NOT NULL,
    name                 text NOT NULL,
    type                 integer NOT NULL,        -- 1 public, 2 private
    version              text,
    req_protocol         text NOT NULL,
    req_method           text NOT NULL,
    req_uri              text NOT NULL,
    -- req_uri with parameter names blanked: /a/{} and /a/{+}; what must differ between APIs
    req_uri_shape        text NOT NULL,
    auth_type            text NOT NULL,
    app_code_auth_type   text NOT NULL DEFAULT 'DISABLE',
    cors                 boolean NOT NULL DEFAULT false,
    match_mode           text NOT NULL DEFAULT 'NORMAL',
    backend_type         text NOT NULL,
    remark               text,
    body_remark          text,
    result_normal_sample  text,
    result_failure_sample text,
    tags                 jsonb,                   -- array of strings
    backend_api          jsonb,                   -- as the API shows it, times and id included
    mock_info            jsonb,
    req_params           jsonb,
    backend_params       jsonb,
    register_time        timestamptz NOT NULL DEFAULT now(),
    update_time          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (instance_id, id),
    CONSTRAINT api_group_fkey FOREIGN KEY (instance_id, group_id)
        REFERENCES api_group (instance_id, id),
    CONSTRAINT api_name_key UNIQUE (instance_id, group_id, name),
    CONSTRAINT api_path_key UNIQUE (instance_id, group_id, req_method, req_uri_shape, match_mode)
);
CREATE INDEX api_list ON api (instance_id, register_time DESC, id);
CREATE INDEX api_name_trgm ON api USING gin (name gin_trgm_ops);
CREATE INDEX api_uri_trgm ON api USING gin (req_uri gin_trgm_ops);

-- What was published: `definition` is the row of `api` as it stood then (to_jsonb).
CREATE TABLE api_version (
    instance_id  text NOT NULL CONSTRAINT api_version_instance_fkey
                 REFERENCES instance (id) ON DELETE CASCADE,
    version_id   text NOT NULL,
    version_no   text NOT NULL,
    api_id       text NOT NULL,
    env_id       text NOT NULL,
    definition   jsonb NOT NULL,
    remark       text,
    publish_time timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (instance_id, version_id),
    CONSTRAINT api_version_api_fkey FOREIGN KEY (instance_id, api_id)
        REFERENCES api (instance_id, id) ON DELETE CASCADE,
    CONSTRAINT api_version_env_fkey FOREIGN KEY (instance_id, env_id)
        REFERENCES environment (instance_id, id) ON DELETE CASCADE
);
CREATE INDEX api_version_api ON api_version (instance_id, api_id, env_id, publish_time DESC);
CREATE INDEX api_version_env ON api_version (instance_id, env_id);

-- The pair of an API and an environment: one row, kept while the API and the environment live, so
-- that publish_id survives republishing. version_id is NULL while the API is offline there.
CREATE TABLE publication (
    instance_id  text NOT NULL CONSTRAINT publication_instance_fkey
                 REFERENCES instance (id) ON DELETE CASCADE,
    publish_id   text NOT NULL,
    api_id       text NOT NULL,
    env_id       text NOT NULL,
    version_id   text,
    remark       text,
    publish_time timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (instance_id, publish_id),
    -- Who deletes an API or an environment deletes its offline rows first; one that is online
    -- violates these.
    CONSTRAINT publication_api_fkey FOREIGN KEY (instance_id, api_id)
        REFERENCES api (instance_id, id),
    CONSTRAINT publication_env_fkey FOREIGN KEY (instance_id, env_id)
        REFERENCES environment (instance_id, id),
    CONSTRAINT publication_version_fkey FOREIGN KEY (instance_id, version_id)
        REFERENCES api_version (instance_id, version_id),
    CONSTRAINT publication_pair_key UNIQUE (instance_id, api_id, env_id)
);
CREATE INDEX publication_env ON publication (instance_id, env_id);

-- `body` is a list's element; body_group and body_backend add what return_data_mode asks for.
CREATE VIEW api_brief_json AS
SELECT instance_id, id, body, body || group_info AS body_group,
       body || group_info || backend AS body_backend
FROM (
    SELECT a.instance_id, a.id,
           jsonb_strip_nulls(jsonb_build_object(
               'id', a.id, 'name', a.name, 'type', a.type, 'version', a.version,
               'req_protocol', a.req_protocol, 'req_method', a.req_method, 'req_uri', a.req_uri,
               'auth_type', a.auth_type,
               'auth_opt', jsonb_build_object('app_code_auth_type', a.app_code_auth_type),
               'cors', a.cors, 'match_mode', a.match_mode, 'backend_type', a.backend_type,
               'remark', a.remark, 'group_id', a.group_id, 'group_name', g.body ->> 'name',
               'group_version', 'V1', 'body_remark', a.body_remark,
               'result_normal_sample', a.result_normal_sample,
               'result_failure_sample', a.result_failure_sample, 'tags', a.tags,
               'status', 1, 'arrange_necessary', 2,
               'register_time', api_time(a.register_time),
               'update_time', api_time(a.update_time),
               'run_env_id', o.run_env_id, 'run_env_name', o.run_env_name,
               'publish_id', o.publish_id, 'publish_time', o.publish_time)) AS body,
           jsonb_build_object('api_group_info', g.body) AS group_info,
           jsonb_strip_nulls(jsonb_build_object('backend_api', a.backend_api,
                                                'mock_info', a.mock_info)) AS backend
    FROM api a
    JOIN api_group_info g ON g.instance_id = a.instance_id AND g.id = a.group_id
    CROSS JOIN LATERAL (
        -- Where the API is online, joined by '|' as the API shows it.
        SELECT string_agg(p.env_id, '|' ORDER BY p.publish_time, p.env_id) AS run_env_id,
               string_agg(e.name, '|' ORDER BY p.publish_time, p.env_id) AS run_env_name,
               string_agg(p.publish_id, '|' ORDER BY p.publish_time, p.env_id) AS publish_id,
               string_agg(api_time(p.publish_time), '|' ORDER BY p.publish_time, p.env_id)
                   AS publish_time
        FROM publication p
        JOIN environment e ON e.instance_id = p.instance_id AND e.id = p.env_id
        WHERE p.instance_id = a.instance_id AND p.api_id = a.id AND p.version_id IS NOT NULL) o) x;

CREATE VIEW api_json AS
SELECT b.instance_id, b.id, b.body_backend || jsonb_strip_nulls(jsonb_build_object(
    'req_params', a.req_params, 'backend_params', a.backend_params)) AS body
FROM api_brief_json b JOIN api a ON a.instance_id = b.instance_id AND a.id = b.id;
