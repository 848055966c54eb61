-- Load balance channels: their servers, the groups that servers are in, and who uses a channel.

CREATE TABLE channel (
    instance_id      text NOT NULL CONSTRAINT channel_instance_fkey
                     REFERENCES instance (id) ON DELETE CASCADE,
    id               text NOT NULL,
    name             text NOT NULL,
    port             integer NOT NULL,
    balance_strategy integer NOT NULL,
    member_type      text NOT NULL,
    type             integer NOT NULL DEFAULT 2,  -- servers
    health           jsonb,                       -- as the API shows it; NULL: nothing is probed
    create_time      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (instance_id, id),
    CONSTRAINT channel_name_key UNIQUE (instance_id, name)
);
CREATE INDEX channel_list ON channel (instance_id, create_time DESC, id);
CREATE INDEX channel_name_trgm ON channel USING gin (name gin_trgm_ops);

CREATE TABLE channel_group (
    instance_id         text NOT NULL CONSTRAINT channel_group_instance_fkey
                        REFERENCES instance (id) ON DELETE CASCADE,
    id                  text NOT NULL,
    vpc_channel_id      text NOT NULL,
    member_group_name   text NOT NULL,
    member_group_remark text,
    member_group_weight integer,                  -- of each of its servers; NULL: each has its own
    create_time         timestamptz NOT NULL DEFAULT now(),
    update_time         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (instance_id, id),
    CONSTRAINT channel_group_channel_fkey FOREIGN KEY (instance_id, vpc_channel_id)
        REFERENCES channel (instance_id, id) ON DELETE CASCADE,
    CONSTRAINT channel_group_name_key UNIQUE (instance_id, vpc_channel_id, member_group_name),
    -- what a server's group must be: one of its channel
    CONSTRAINT channel_group_own_key UNIQUE (instance_id, vpc_channel_id, id)
);

CREATE TABLE channel_member (
    instance_id     text NOT NULL CONSTRAINT channel_member_instance_fkey
                    REFERENCES instance (id) ON DELETE CASCADE,
    id              text NOT NULL,
    vpc_channel_id  text NOT NULL,
    member_group_id text,
    host            text NOT NULL,
    port            integer NOT NULL,             -- 0: the channel's
    weight          integer NOT NULL,
    is_backup       boolean NOT NULL,
    status          integer NOT NULL,             -- 1 in use, 2 not
    ecs_id          text NOT NULL,                -- host, where nobody named one
    ecs_name        text NOT NULL,
    create_time     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (instance_id, id),
    CONSTRAINT channel_member_channel_fkey FOREIGN KEY (instance_id, vpc_channel_id)
        REFERENCES channel (instance_id, id) ON DELETE CASCADE,
    -- A group that goes leaves its servers behind, in no group.
    CONSTRAINT channel_member_group_fkey FOREIGN KEY (instance_id, vpc_channel_id, member_group_id)
        REFERENCES channel_group (instance_id, vpc_channel_id, id) ON DELETE SET NULL (member_group_id),
    CONSTRAINT channel_member_address_key UNIQUE (instance_id, vpc_channel_id, host, port)
);
CREATE INDEX channel_member_group ON channel_member (instance_id, vpc_channel_id, member_group_id);
CREATE INDEX channel_member_host ON channel_member (instance_id, host);

CREATE VIEW channel_group_json AS
SELECT instance_id, id, jsonb_build_object(
    'member_group_id', id, 'member_group_name', member_group_name,
    'member_group_remark', coalesce(member_group_remark, ''),
    'dict_code', '', 'microservice_version', '', 'microservice_port', 0,
    'microservice_labels', '[]'::jsonb, 'create_time', api_time(create_time),
    'update_time', api_time(update_time))
    || jsonb_strip_nulls(jsonb_build_object('member_group_weight', member_group_weight)) AS body
FROM channel_group;

CREATE VIEW channel_member_json AS
SELECT m.instance_id, m.id, jsonb_build_object(
    'id', m.id, 'vpc_channel_id', m.vpc_channel_id, 'host', m.host,
    'port', CASE m.port WHEN 0 THEN c.port ELSE m.port END, 'weight', m.weight,
    'is_backup', m.is_backup, 'status', m.status, 'ecs_id', m.ecs_id, 'ecs_name', m.ecs_name,
    'member_group_id', coalesce(g.id, ''), 'member_group_name', coalesce(g.member_group_name, ''),
    'create_time', api_time(m.create_time)) AS body
FROM channel_member m
JOIN channel c ON c.instance_id = m.instance_id AND c.id = m.vpc_channel_id
LEFT JOIN channel_group g ON g.instance_id = m.instance_id AND g.id = m.member_group_id;

-- The element of a list, and what is answered to a change.
CREATE VIEW channel_brief_json AS
SELECT c.instance_id, c.id, jsonb_build_object(
    'id', c.id, 'name', c.name, 'port', c.port, 'balance_strategy', c.balance_strategy,
    'member_type', c.member_type, 'type', c.type, 'dict_code', '', 'status', 1,
    'create_time', api_time(c.create_time),
    'member_groups', (
        SELECT coalesce(jsonb_agg(j.body ORDER BY g.create_time, g.id DESC), '[]')
        FROM channel_group g
        JOIN channel_group_json j ON j.instance_id = g.instance_id AND j.id = g.id
        WHERE g.instance_id = c.instance_id AND g.vpc_channel_id = c.id)) AS body
FROM channel c;

CREATE VIEW channel_json AS
SELECT c.instance_id, c.id, b.body || jsonb_build_object('members', (
        SELECT coalesce(jsonb_agg(j.body ORDER BY m.create_time, m.id DESC), '[]')
        FROM channel_member m
        JOIN channel_member_json j ON j.instance_id = m.instance_id AND j.id = m.id
        WHERE m.instance_id = c.instance_id AND m.vpc_channel_id = c.id))
    || jsonb_strip_nulls(jsonb_build_object('vpc_health_config', c.health)) AS body
FROM channel c
JOIN channel_brief_json b ON b.instance_id = c.instance_id AND b.id = c.id;

-- Which APIs use a channel, as they are and as they are published. A channel in use stays.
CREATE TABLE channel_api (
    instance_id text NOT NULL,
    api_id      text NOT NULL,
    channel_id  text NOT NULL,
    PRIMARY KEY (instance_id, api_id, channel_id),
    CONSTRAINT channel_api_api_fkey FOREIGN KEY (instance_id, api_id)
        REFERENCES api (instance_id, id) ON DELETE CASCADE,
    CONSTRAINT channel_api_channel_fkey FOREIGN KEY (instance_id, channel_id)
        REFERENCES channel (instance_id, id)
);
CREATE INDEX channel_api_channel ON channel_api (instance_id, channel_id);

CREATE TABLE channel_publication (
    instance_id text NOT NULL,
    publish_id  text NOT NULL,
    channel_id  text NOT NULL,
    PRIMARY KEY (instance_id, publish_id, channel_id),
    CONSTRAINT channel_publication_publication_fkey FOREIGN KEY (instance_id, publish_id)
        REFERENCES publication (instance_id, publish_id) ON DELETE CASCADE,
    CONSTRAINT channel_publication_channel_fkey FOREIGN KEY (instance_id, channel_id)
        REFERENCES channel (instance_id, id)
);
CREATE INDEX channel_publication_channel ON channel_publication (instance_id, channel_id);

-- The channels of a backend and its policies, each once.
CREATE FUNCTION channels_of(backend jsonb, policies jsonb) RETURNS SETOF text LANGUAGE sql IMMUTABLE AS $$
    SELECT backend -> 'vpc_channel_info' ->> 'vpc_channel_id'
    WHERE backend -> 'vpc_channel_info' ? 'vpc_channel_id'
    UNION
    SELECT p -> 'vpc_channel_info' ->> 'vpc_channel_id'
    FROM jsonb_array_elements(CASE jsonb_typeof(policies) WHEN 'array' THEN policies END) p
    WHERE p -> 'vpc_channel_info' ? 'vpc_channel_id'
$$;

CREATE FUNCTION channel_api_use() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM channel_api u WHERE u.instance_id = NEW.instance_id AND u.api_id = NEW.id;
    INSERT INTO channel_api (instance_id, api_id, channel_id)
    SELECT NEW.instance_id, NEW.id, x FROM channels_of(NEW.backend_api, NEW.policy_https) x ORDER BY x;
    RETURN NULL;
END
$$;
-- The text of what names no channel is searched once, for nothing; two triggers, as one may look at
-- OLD alone.
CREATE TRIGGER api_channel_new AFTER INSERT ON api FOR EACH ROW
    WHEN (NEW.backend_api ? 'vpc_channel_info' OR NEW.policy_https::text LIKE '%"vpc_channel_info"%')
    EXECUTE FUNCTION channel_api_use();
CREATE TRIGGER api_channel_change AFTER UPDATE ON api FOR EACH ROW
    WHEN (NEW.backend_api IS DISTINCT FROM OLD.backend_api
          OR NEW.policy_https IS DISTINCT FROM OLD.policy_https)
    EXECUTE FUNCTION channel_api_use();

CREATE FUNCTION channel_publication_use() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM channel_publication u
    WHERE u.instance_id = NEW.instance_id AND u.publish_id = NEW.publish_id;
    INSERT INTO channel_publication (instance_id, publish_id, channel_id)
    SELECT NEW.instance_id, NEW.publish_id, x FROM api_version v
    CROSS JOIN channels_of(v.definition -> 'backend_api', v.definition -> 'policy_https') x
    WHERE v.instance_id = NEW.instance_id AND v.version_id = NEW.version_id ORDER BY x;
    RETURN NULL;
END
$$;
CREATE TRIGGER publication_channel AFTER INSERT OR UPDATE OF version_id ON publication
    FOR EACH ROW EXECUTE FUNCTION channel_publication_use();
