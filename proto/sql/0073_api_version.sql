-- Versions as lists and details show them, and what an environment serves.

ALTER TABLE api_version ADD COLUMN id text GENERATED ALWAYS AS (version_id) STORED;

CREATE VIEW api_version_json AS
SELECT v.instance_id, v.id, jsonb_strip_nulls(jsonb_build_object(
    'version_id', v.version_id, 'version_no', v.version_no, 'api_id', v.api_id,
    'env_id', v.env_id, 'env_name', e.name, 'remark', v.remark,
    'publish_time', api_time(v.publish_time), 'status', api_yes(p.publish_id IS NOT NULL))) AS body
FROM api_version v
JOIN environment e ON e.instance_id = v.instance_id AND e.id = v.env_id
LEFT JOIN publication p ON p.instance_id = v.instance_id AND p.version_id = v.version_id;

-- A snapshot of a row of `api` as clients see an API; its group is shown as it is today.
CREATE FUNCTION api_definition(instance text, definition jsonb) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
RETURN jsonb_strip_nulls(definition - '{instance_id,req_uri_shape,app_code_auth_type}'::text[])
    || jsonb_build_object(
        'auth_opt', jsonb_build_object('app_code_auth_type', definition -> 'app_code_auth_type'),
        'register_time', api_time((definition ->> 'register_time')::timestamptz),
        'update_time', api_time((definition ->> 'update_time')::timestamptz))
    || coalesce((SELECT jsonb_build_object('group_name', g.name, 'sl_domain', g.sl_domain,
                                           'sl_domains', jsonb_build_array(g.sl_domain))
                 FROM api_group g WHERE g.instance_id = instance
                 AND g.id = definition ->> 'group_id'), '{}');

CREATE VIEW api_version_detail_json AS
SELECT v.instance_id, v.id, api_definition(v.instance_id, v.definition) || jsonb_strip_nulls(
    jsonb_build_object(
        'status', 1, 'arrange_necessary', 2, 'group_version', 'V1', 'version_id', v.version_id,
        'publish_time', api_time(v.publish_time), 'publish_id', p.publish_id,
        'run_env_id', v.env_id, 'run_env_name', e.name, 'api_group_info', g.body)) AS body
FROM api_version v
JOIN environment e ON e.instance_id = v.instance_id AND e.id = v.env_id
LEFT JOIN publication p ON p.instance_id = v.instance_id AND p.version_id = v.version_id
LEFT JOIN api_group_info g ON g.instance_id = v.instance_id AND g.id = v.definition ->> 'group_id';

-- One row a pair of API and environment that is online.
CREATE VIEW api_runtime_json AS
SELECT p.instance_id, p.api_id, p.env_id,
       api_definition(p.instance_id, v.definition)
       - '{backend_api,mock_info,backend_params,register_time,update_time}'::text[]
       || jsonb_build_object('run_env_id', p.env_id, 'run_env_name', e.name,
                             'publish_id', p.publish_id) AS body
FROM publication p
JOIN api_version v ON v.instance_id = p.instance_id AND v.version_id = p.version_id
JOIN environment e ON e.instance_id = p.instance_id AND e.id = p.env_id;
