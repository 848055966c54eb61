-- Quotas of apps: how often an app may call in a window, over all APIs; and which app has which.

CREATE TABLE app_quota (
    instance_id   text NOT NULL CONSTRAINT app_quota_instance_fkey
                  REFERENCES instance (id) ON DELETE CASCADE,
    id            text NOT NULL,
    name          text NOT NULL,
    remark        text,
    call_limits   integer NOT NULL,
    time_unit     text NOT NULL,
    time_interval integer NOT NULL,
    reset_time    timestamp,            -- UTC; NULL: windows begin when the app got the quota
    create_time   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (instance_id, id),
    CONSTRAINT app_quota_name_key UNIQUE (instance_id, name)
);
CREATE INDEX app_quota_list ON app_quota (instance_id, create_time DESC, id);
CREATE INDEX app_quota_name_trgm ON app_quota USING gin (name gin_trgm_ops);

CREATE TABLE app_quota_app (
    instance_id  text NOT NULL CONSTRAINT app_quota_app_instance_fkey
                 REFERENCES instance (id) ON DELETE CASCADE,
    app_id       text NOT NULL,
    app_quota_id text NOT NULL,
    bound_time   timestamptz NOT NULL DEFAULT now(),
    id           text NOT NULL GENERATED ALWAYS AS (app_id) STORED, -- an app has one quota
    PRIMARY KEY (instance_id, app_id),
    CONSTRAINT app_quota_app_quota_fkey FOREIGN KEY (instance_id, app_quota_id)
        REFERENCES app_quota (instance_id, id) ON DELETE CASCADE,
    CONSTRAINT app_quota_app_app_fkey FOREIGN KEY (instance_id, app_id)
        REFERENCES app (instance_id, id) ON DELETE CASCADE
);
CREATE INDEX app_quota_app_quota ON app_quota_app (instance_id, app_quota_id, bound_time DESC);

CREATE VIEW app_quota_json AS
SELECT q.instance_id, q.id, jsonb_strip_nulls(jsonb_build_object(
    'app_quota_id', q.id, 'name', q.name, 'remark', q.remark, 'call_limits', q.call_limits,
    'time_unit', q.time_unit, 'time_interval', q.time_interval,
    'reset_time', to_char(q.reset_time, 'YYYY-MM-DD HH24:MI:SS'),
    'create_time', api_time(q.create_time),
    'bound_app_num', (SELECT count(*) FROM app_quota_app b
                      WHERE b.instance_id = q.instance_id AND b.app_quota_id = q.id))) AS body
FROM app_quota q;

-- An app with its quota, if any.
CREATE VIEW app_quota_candidate_json AS
SELECT a.instance_id, a.id, jsonb_strip_nulls(jsonb_build_object(
    'app_id', a.id, 'name', a.name, 'status', a.status, 'app_key', a.app_key,
    'remark', a.remark, 'register_time', api_time(a.register_time),
    'update_time', api_time(a.update_time), 'app_quota_id', q.id, 'app_quota_name', q.name,
    'bound_time', coalesce(api_time(b.bound_time), '0001-01-01T00:00:00Z'))) AS body
FROM app a
LEFT JOIN app_quota_app b ON b.instance_id = a.instance_id AND b.app_id = a.id
LEFT JOIN app_quota q ON q.instance_id = b.instance_id AND q.id = b.app_quota_id;

CREATE VIEW app_quota_app_json AS
SELECT instance_id, id, body FROM app_quota_candidate_json WHERE body ? 'app_quota_id';
