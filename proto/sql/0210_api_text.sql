-- APIs as clients see them, written as text: each member once, absent ones left out on the way. A
-- JSON value that is built, stripped and printed costs four times as much, and so do four sorts of
-- an API's publications. Ids and words of the contract need no quoting; what people write is
-- quoted by to_json.

CREATE VIEW api_text_json AS
SELECT instance_id, id, '{' || own || '}' AS body,
       '{' || own || of_group || '}' AS body_group,
       '{' || own || of_group || backend || '}' AS body_backend,
       '{' || own || of_group || backend || details || '}' AS body_all
FROM (
    SELECT a.instance_id, a.id,
           format('"id":"%s","name":%s,"type":%s,"req_protocol":"%s","req_method":"%s","req_uri":%s,'
                  '"auth_type":"%s","auth_opt":{"app_code_auth_type":"%s"},"cors":%s,'
                  '"match_mode":"%s","backend_type":"%s","group_id":"%s","group_name":%s,'
                  '"group_version":"V1","status":1,"arrange_necessary":2,'
                  '"register_time":"%s","update_time":"%s"%s%s%s%s%s%s%s',
                  a.id, to_json(a.name)::text, a.type, a.req_protocol, a.req_method,
                  to_json(a.req_uri)::text, a.auth_type, a.app_code_auth_type, a.cors::text,
                  a.match_mode, a.backend_type, a.group_id, to_json(g.name)::text,
                  api_time(a.register_time), api_time(a.update_time),
                  ',"version":' || to_json(a.version)::text,
                  ',"remark":' || to_json(a.remark)::text,
                  ',"body_remark":' || to_json(a.body_remark)::text,
                  ',"result_normal_sample":' || to_json(a.result_normal_sample)::text,
                  ',"result_failure_sample":' || to_json(a.result_failure_sample)::text,
                  ',"tags":' || a.tags::text, o.members) AS own,
           format(',"api_group_info":{"id":"%s","name":%s,"status":1,"sl_domain":%s,'
                  '"register_time":"%s","update_time":"%s","on_sell_status":2,"url_domains":[],'
                  '"sl_domain_access_enabled":%s}',
                  g.id, to_json(g.name)::text, to_json(g.sl_domain)::text,
                  api_time(g.register_time), api_time(g.update_time),
                  g.sl_domain_access_enabled::text) AS of_group,
           concat(',"backend_api":' || jsonb_strip_nulls(a.backend_api)::text,
                  ',"func_info":' || jsonb_strip_nulls(a.func_info)::text,
                  ',"mock_info":' || jsonb_strip_nulls(a.mock_info)::text) AS backend,
           concat(',"req_params":' || jsonb_strip_nulls(a.req_params)::text,
                  ',"backend_params":' || jsonb_strip_nulls(a.backend_params)::text,
                  ',"policy_https":' || jsonb_strip_nulls(a.policy_https)::text,
                  ',"policy_mocks":' || jsonb_strip_nulls(a.policy_mocks)::text,
                  ',"policy_functions":' || jsonb_strip_nulls(a.policy_functions)::text) AS details
    FROM api a
    JOIN api_group g ON g.instance_id = a.instance_id AND g.id = a.group_id
    CROSS JOIN LATERAL (
        -- Where the API is online, joined by '|' as the API shows it.
        SELECT ',"run_env_id":' || to_json(string_agg(s.env_id, '|'))::text
               || ',"run_env_name":' || to_json(string_agg(s.name, '|'))::text
               || ',"publish_id":' || to_json(string_agg(s.publish_id, '|'))::text
               || ',"publish_time":"' || string_agg(api_time(s.publish_time), '|') || '"' AS members
        FROM (SELECT p.env_id, e.name, p.publish_id, p.publish_time
              FROM publication p
              JOIN environment e ON e.instance_id = p.instance_id AND e.id = p.env_id
              WHERE p.instance_id = a.instance_id AND p.api_id = a.id AND p.version_id IS NOT NULL
              ORDER BY p.publish_time, p.env_id) s) o) x;

CREATE VIEW api_detail_json AS SELECT instance_id, id, body_all AS body FROM api_text_json;
