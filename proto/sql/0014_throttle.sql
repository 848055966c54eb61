-- Request throttling policies and the published APIs that they are bound to.

CREATE TABLE throttle (
    instance_id      text NOT NULL CONSTRAINT throttle_instance_fkey
                     REFERENCES instance (id) ON DELETE CASCADE,
    id               text NOT NULL,
    name             text NOT NULL,
    remark           text,
    type             integer NOT NULL DEFAULT 1,  -- 1 each API for itself, 2 all APIs together
    time_interval    integer NOT NULL,
    time_unit        text NOT NULL,
    api_call_limits  integer NOT NULL,
    user_call_limits integer,
    app_call_limits  integer,
    ip_call_limits   integer,
    create_time      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (instance_id, id),
    CONSTRAINT throttle_name_key UNIQUE (instance_id, name)
);
CREATE INDEX throttle_list ON throttle (instance_id, create_time DESC, id);
CREATE INDEX throttle_name_trgm ON throttle USING gin (name gin_trgm_ops);

CREATE TABLE throttle_binding (
    instance_id text NOT NULL CONSTRAINT throttle_binding_instance_fkey
                REFERENCES instance (id) ON DELETE CASCADE,
    id          text NOT NULL,
    throttle_id text NOT NULL,
    publish_id  text NOT NULL,
    scope       integer NOT NULL DEFAULT 1,
    apply_time  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (instance_id, id),
    CONSTRAINT throttle_binding_throttle_fkey FOREIGN KEY (instance_id, throttle_id)
        REFERENCES throttle (instance_id, id),
    CONSTRAINT throttle_binding_publication_fkey FOREIGN KEY (instance_id, publish_id)
        REFERENCES publication (instance_id, publish_id) ON DELETE CASCADE,
    CONSTRAINT throttle_binding_publication_key UNIQUE (instance_id, publish_id)
);
CREATE INDEX throttle_binding_throttle ON throttle_binding (instance_id, throttle_id);

CREATE VIEW throttle_json AS
SELECT t.instance_id, t.id, jsonb_strip_nulls(jsonb_build_object(
    'id', t.id, 'name', t.name, 'remark', t.remark, 'type', t.type,
    'time_interval', t.time_interval, 'time_unit', t.time_unit,
    'api_call_limits', t.api_call_limits, 'user_call_limits', t.user_call_limits,
    'app_call_limits', t.app_call_limits, 'ip_call_limits', t.ip_call_limits,
    'enable_adaptive_control', 'FALSE',
    'bind_num', (SELECT count(*) FROM throttle_binding b
                 WHERE b.instance_id = t.instance_id AND b.throttle_id = t.id),
    'is_inclu_special_throttle', 2, 'create_time', api_time(t.create_time))) AS body
FROM throttle t;

CREATE VIEW throttle_binding_json AS
SELECT instance_id, id, jsonb_build_object(
    'id', id, 'publish_id', publish_id, 'scope', scope, 'strategy_id', throttle_id,
    'apply_time', api_time(apply_time)) AS body
FROM throttle_binding;
