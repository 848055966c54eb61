-- The members of an API as functions of its row, so that the reply to its creation is made by the
-- statement that writes it and not by a view that reads it again. A query takes them in as if they
-- stood in it: each is one expression without a subquery, and asks for nothing more volatile than it
-- says itself.

-- Members that stand in the API's own row, and `online`: where it is online, members too, or NULL.
CREATE FUNCTION api_own(a api, online text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT format('"id":"%s","req_protocol":"%s","req_method":"%s","auth_type":"%s",'
                  '"auth_opt":{"app_code_auth_type":"%s"},"cors":%s,"match_mode":"%s",'
                  '"backend_type":"%s","group_id":"%s","group_version":"V1","status":1,'
                  '"arrange_necessary":2,"register_time":"%s","update_time":"%s"%s,"type":%s,'
                  '"name":%s,"req_uri":%s%s%s%s%s%s%s%s%s%s%s%s%s',
                  a.id, a.req_protocol, a.req_method, a.auth_type, a.app_code_auth_type,
                  CASE WHEN a.cors THEN 'true' ELSE 'false' END, a.match_mode, a.backend_type,
                  a.group_id, api_time(a.register_time), api_time(a.update_time), online,
                  a.type, to_json(a.name)::text, to_json(a.req_uri)::text,
                  CASE WHEN a.version IS NOT NULL THEN ',"version":' END, to_json(a.version)::text,
                  CASE WHEN a.remark IS NOT NULL THEN ',"remark":' END, to_json(a.remark)::text,
                  CASE WHEN a.body_remark IS NOT NULL THEN ',"body_remark":' END,
                  to_json(a.body_remark)::text,
                  CASE WHEN a.result_normal_sample IS NOT NULL
                       THEN ',"result_normal_sample":' END,
                  to_json(a.result_normal_sample)::text,
                  CASE WHEN a.result_failure_sample IS NOT NULL
                       THEN ',"result_failure_sample":' END,
                  to_json(a.result_failure_sample)::text,
                  CASE WHEN a.tags IS NOT NULL THEN ',"tags":' END, a.tags::text)
$$;

CREATE FUNCTION api_backend(a api) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT format('%s%s%s%s%s%s', CASE WHEN a.backend_api IS NOT NULL THEN ',"backend_api":' END,
                  jsonb_strip_nulls(a.backend_api)::text,
                  CASE WHEN a.func_info IS NOT NULL THEN ',"func_info":' END,
                  jsonb_strip_nulls(a.func_info)::text,
                  CASE WHEN a.mock_info IS NOT NULL THEN ',"mock_info":' END,
                  jsonb_strip_nulls(a.mock_info)::text)
$$;

CREATE FUNCTION api_details(a api) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT format('%s%s%s%s%s%s%s%s%s%s',
                  CASE WHEN a.req_params IS NOT NULL THEN ',"req_params":' END,
                  jsonb_strip_nulls(a.req_params)::text,
                  CASE WHEN a.backend_params IS NOT NULL THEN ',"backend_params":' END,
                  jsonb_strip_nulls(a.backend_params)::text,
                  CASE WHEN a.policy_https IS NOT NULL THEN ',"policy_https":' END,
                  jsonb_strip_nulls(a.policy_https)::text,
                  CASE WHEN a.policy_mocks IS NOT NULL THEN ',"policy_mocks":' END,
                  jsonb_strip_nulls(a.policy_mocks)::text,
                  CASE WHEN a.policy_functions IS NOT NULL THEN ',"policy_functions":' END,
                  jsonb_strip_nulls(a.policy_functions)::text)
$$;

CREATE OR REPLACE VIEW api_own_text AS
SELECT a.instance_id, a.id, a.group_id,
       api_own(a, (
           -- Where the API is online, joined by '|' as the API shows it.
           SELECT CASE WHEN count(*) > 0 THEN
               format(',"run_env_id":"%s","publish_id":"%s","publish_time":"%s",'
                      '"run_env_name":%s', string_agg(s.env_id, '|'),
                      string_agg(s.publish_id, '|'),
                      string_agg(api_time(s.publish_time), '|'),
                      to_json(string_agg(s.name, '|'))::text) END
           FROM (SELECT p.env_id, e.name, p.publish_id, p.publish_time
                 FROM publication p
                 JOIN environment e ON e.instance_id = p.instance_id AND e.id = p.env_id
                 WHERE p.instance_id = a.instance_id AND p.api_id = a.id
                       AND p.version_id IS NOT NULL
                 ORDER BY p.publish_time, p.env_id) s
       )) AS own,
       api_backend(a) AS backend, api_details(a) AS details
FROM api a;
