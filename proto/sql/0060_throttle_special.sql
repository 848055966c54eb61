-- Excluded ("special") throttles: what one app or one account may call instead of a policy's general
-- limit; and the lists of APIs that a policy is, or could be, bound to.

CREATE TABLE throttle_special (
    instance_id text NOT NULL CONSTRAINT throttle_special_instance_fkey
                REFERENCES instance (id) ON DELETE CASCADE,
    id          text NOT NULL,
    throttle_id text NOT NULL,
    object_type text NOT NULL,          -- APP or USER
    object_id   text NOT NULL,          -- an app, or an account or project of its owner
    call_limits integer NOT NULL,
    apply_time  timestamptz NOT NULL DEFAULT now(),
    -- so that an app's row goes with the app, and each kind of object has its quota
    app_id      text GENERATED ALWAYS AS (CASE WHEN object_type = 'APP' THEN object_id END) STORED,
    scope       text NOT NULL GENERATED ALWAYS AS (throttle_id || '/' || object_type) STORED,
    PRIMARY KEY (instance_id, id),
    CONSTRAINT throttle_special_throttle_fkey FOREIGN KEY (instance_id, throttle_id)
        REFERENCES throttle (instance_id, id) ON DELETE CASCADE,
    CONSTRAINT throttle_special_app_fkey FOREIGN KEY (instance_id, app_id)
        REFERENCES app (instance_id, id) ON DELETE CASCADE,
    CONSTRAINT throttle_special_object_key
        UNIQUE (instance_id, throttle_id, object_type, object_id)
);
CREATE INDEX throttle_special_app ON throttle_special (instance_id, app_id);

CREATE VIEW throttle_special_json AS
SELECT s.instance_id, s.id, jsonb_strip_nulls(jsonb_build_object(
    'id', s.id, 'throttle_id', s.throttle_id, 'object_type', s.object_type,
    'object_id', s.object_id, 'object_name', coalesce(a.name, d.name, p.name),
    'app_id', s.app_id, 'app_name', a.name, 'call_limits', s.call_limits,
    'apply_time', api_time(s.apply_time))) AS body
FROM throttle_special s
LEFT JOIN app a ON a.instance_id = s.instance_id AND a.id = s.app_id
LEFT JOIN domain d ON s.object_type = 'USER' AND d.id = s.object_id
LEFT JOIN project p ON s.object_type = 'USER' AND p.id = s.object_id;

-- A limit of 0 is one that an update took away.
CREATE OR REPLACE VIEW throttle_json AS
SELECT t.instance_id, t.id, jsonb_strip_nulls(jsonb_build_object(
    'id', t.id, 'name', t.name, 'remark', t.remark, 'type', t.type,
    'time_interval', t.time_interval, 'time_unit', t.time_unit,
    'api_call_limits', t.api_call_limits, 'user_call_limits', nullif(t.user_call_limits, 0),
    'app_call_limits', nullif(t.app_call_limits, 0),
    'ip_call_limits', nullif(t.ip_call_limits, 0), 'enable_adaptive_control', 'FALSE',
    'bind_num', (SELECT count(*) FROM throttle_binding b
                 WHERE b.instance_id = t.instance_id AND b.throttle_id = t.id),
    'is_inclu_special_throttle', CASE WHEN EXISTS (
        SELECT FROM throttle_special s
        WHERE s.instance_id = t.instance_id AND s.throttle_id = t.id) THEN 1 ELSE 2 END,
    'create_time', api_time(t.create_time))) AS body
FROM throttle t;

-- The engine's lists pick rows by `id`.
ALTER TABLE publication ADD COLUMN id text GENERATED ALWAYS AS (publish_id) STORED;

-- A publication with the policy that it has, if any.
CREATE VIEW throttle_publication_json AS
SELECT p.instance_id, p.id, b.id AS throttle_binding_id, jsonb_strip_nulls(jsonb_build_object(
    'id', a.id, 'name', a.name, 'type', a.type, 'remark', a.remark, 'auth_type', a.auth_type,
    'req_method', a.req_method, 'req_uri', a.req_uri, 'group_id', a.group_id,
    'group_name', g.name, 'publish_id', p.publish_id, 'run_env_id', p.env_id,
    'run_env_name', e.name, 'throttle_apply_id', b.id, 'throttle_name', t.name,
    'apply_time', api_time(b.apply_time))) AS body
FROM publication p
JOIN api a ON a.instance_id = p.instance_id AND a.id = p.api_id
JOIN api_group g ON g.instance_id = a.instance_id AND g.id = a.group_id
JOIN environment e ON e.instance_id = p.instance_id AND e.id = p.env_id
LEFT JOIN throttle_binding b ON b.instance_id = p.instance_id AND b.publish_id = p.publish_id
LEFT JOIN throttle t ON t.instance_id = b.instance_id AND t.id = b.throttle_id;

CREATE VIEW throttle_bound_api_json AS
SELECT instance_id, throttle_binding_id AS id, body FROM throttle_publication_json
WHERE throttle_binding_id IS NOT NULL;
