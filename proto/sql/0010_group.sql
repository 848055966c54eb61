-- API groups, and the words that every JSON view uses.

-- Times as the API shows them: 2026-01-31T08:44:02.205366Z.
CREATE FUNCTION api_time(at timestamptz) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
    RETURN to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');

-- 1 and 2, as the API writes yes and no.
CREATE FUNCTION api_yes(yes boolean) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN yes THEN 1 ELSE 2 END;

CREATE TABLE api_group (
    instance_id   text NOT NULL CONSTRAINT api_group_instance_fkey
                  REFERENCES instance (id) ON DELETE CASCADE,
    id            text NOT NULL,
    name          text NOT NULL,
    remark        text,
    sl_domain     text NOT NULL,        -- debugging domain: <id>.<instance.domain_suffix>
    sl_domain_access_enabled boolean NOT NULL DEFAULT true,
    is_default    boolean NOT NULL DEFAULT false,
    register_time timestamptz NOT NULL DEFAULT now(),
    update_time   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (instance_id, id),
    CONSTRAINT api_group_name_key UNIQUE (instance_id, name)
);
CREATE INDEX api_group_list ON api_group (instance_id, register_time DESC, id);
CREATE INDEX api_group_name_trgm ON api_group USING gin (name gin_trgm_ops);
CREATE UNIQUE INDEX api_group_default ON api_group (instance_id) WHERE is_default;

-- What other resources' bodies repeat of a group.
CREATE VIEW api_group_info AS
SELECT instance_id, id, jsonb_build_object(
    'id', id, 'name', name, 'status', 1, 'sl_domain', sl_domain,
    'register_time', api_time(register_time), 'update_time', api_time(update_time),
    'on_sell_status', 2, 'url_domains', '[]'::jsonb,
    'sl_domain_access_enabled', sl_domain_access_enabled) AS body
FROM api_group;

CREATE VIEW api_group_json AS
SELECT g.instance_id, g.id, i.body || jsonb_strip_nulls(jsonb_build_object(
    'sl_domains', jsonb_build_array(g.sl_domain), 'remark', g.remark,
    'is_default', api_yes(g.is_default), 'version', 'V1')) AS body
FROM api_group g JOIN api_group_info i USING (instance_id, id);
