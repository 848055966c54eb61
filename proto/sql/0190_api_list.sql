-- The element of a list of APIs as json, not jsonb: it is written once and read by nobody here, so
-- that sorting its keys and taking the absent ones out of a tree cost more than all else of it. What
-- adds to it, or takes from it, still has it as jsonb.

CREATE VIEW api_list_json AS
SELECT instance_id, id, body, body::jsonb || group_info AS body_group,
       body::jsonb || group_info || backend AS body_backend
FROM (
    SELECT a.instance_id, a.id,
           json_strip_nulls(json_build_object(
               'id', a.id, 'name', a.name, 'type', a.type, 'version', a.version,
               'req_protocol', a.req_protocol, 'req_method', a.req_method, 'req_uri', a.req_uri,
               'auth_type', a.auth_type,
               'auth_opt', json_build_object('app_code_auth_type', a.app_code_auth_type),
               'cors', a.cors, 'match_mode', a.match_mode, 'backend_type', a.backend_type,
               'remark', a.remark, 'group_id', a.group_id, 'group_name', g.name,
               'group_version', 'V1', 'body_remark', a.body_remark,
               'result_normal_sample', a.result_normal_sample,
               'result_failure_sample', a.result_failure_sample, 'tags', a.tags,
               'status', 1, 'arrange_necessary', 2,
               'register_time', api_time(a.register_time),
               'update_time', api_time(a.update_time),
               'run_env_id', o.run_env_id, 'run_env_name', o.run_env_name,
               'publish_id', o.publish_id, 'publish_time', o.publish_time)) AS body,
           jsonb_build_object('api_group_info', (
               SELECT i.body FROM api_group_info i
               WHERE i.instance_id = a.instance_id AND i.id = a.group_id)) AS group_info,
           jsonb_strip_nulls(jsonb_build_object('backend_api', a.backend_api,
                                                'func_info', a.func_info,
                                                'mock_info', a.mock_info)) AS backend
    FROM api a
    JOIN api_group g ON g.instance_id = a.instance_id AND g.id = a.group_id
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

CREATE OR REPLACE VIEW api_brief_json AS
SELECT instance_id, id, body::jsonb AS body, body_group, body_backend FROM api_list_json;
