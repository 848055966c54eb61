-- APIs as text, as in 0210, for less: most of what a read costs is making its plan ready. A wide
-- row that goes through a join is described anew at each node, so the group and where the API is
-- online are subqueries of one scan; and each function, cast and concatenation is looked up before
-- it runs, so that a member which may be absent has its name by CASE.

-- Members of an API that stand in its own row or depend on it alone.
CREATE VIEW api_own_text AS
SELECT a.instance_id, a.id, a.group_id,
       format('"id":"%s","req_protocol":"%s","req_method":"%s","auth_type":"%s",'
              '"auth_opt":{"app_code_auth_type":"%s"},"cors":%s,"match_mode":"%s",'
              '"backend_type":"%s","group_id":"%s","group_version":"V1","status":1,'
              '"arrange_necessary":2,"register_time":"%s","update_time":"%s"%s,"type":%s,'
              '"name":%s,"req_uri":%s%s%s%s%s%s%s%s%s%s%s%s%s',
              a.id, a.req_protocol, a.req_method, a.auth_type, a.app_code_auth_type,
              CASE WHEN a.cors THEN 'true' ELSE 'false' END, a.match_mode, a.backend_type,
              a.group_id, api_time(a.register_time), api_time(a.update_time),
              (
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
              ),
              a.type, to_json(a.name)::text, to_json(a.req_uri)::text,
              CASE WHEN a.version IS NOT NULL THEN ',"version":' END, to_json(a.version)::text,
              CASE WHEN a.remark IS NOT NULL THEN ',"remark":' END, to_json(a.remark)::text,
              CASE WHEN a.body_remark IS NOT NULL THEN ',"body_remark":' END,
              to_json(a.body_remark)::text,
              CASE WHEN a.result_normal_sample IS NOT NULL THEN ',"result_normal_sample":' END,
              to_json(a.result_normal_sample)::text,
              CASE WHEN a.result_failure_sample IS NOT NULL
                   THEN ',"result_failure_sample":' END,
              to_json(a.result_failure_sample)::text,
              CASE WHEN a.tags IS NOT NULL THEN ',"tags":' END, a.tags::text) AS own,
       format('%s%s%s%s%s%s', CASE WHEN a.backend_api IS NOT NULL THEN ',"backend_api":' END,
              jsonb_strip_nulls(a.backend_api)::text,
              CASE WHEN a.func_info IS NOT NULL THEN ',"func_info":' END,
              jsonb_strip_nulls(a.func_info)::text,
              CASE WHEN a.mock_info IS NOT NULL THEN ',"mock_info":' END,
              jsonb_strip_nulls(a.mock_info)::text) AS backend,
       format('%s%s%s%s%s%s%s%s%s%s',
              CASE WHEN a.req_params IS NOT NULL THEN ',"req_params":' END,
              jsonb_strip_nulls(a.req_params)::text,
              CASE WHEN a.backend_params IS NOT NULL THEN ',"backend_params":' END,
              jsonb_strip_nulls(a.backend_params)::text,
              CASE WHEN a.policy_https IS NOT NULL THEN ',"policy_https":' END,
              jsonb_strip_nulls(a.policy_https)::text,
              CASE WHEN a.policy_mocks IS NOT NULL THEN ',"policy_mocks":' END,
              jsonb_strip_nulls(a.policy_mocks)::text,
              CASE WHEN a.policy_functions IS NOT NULL THEN ',"policy_functions":' END,
              jsonb_strip_nulls(a.policy_functions)::text) AS details
FROM api a;

CREATE VIEW api_group_text AS
SELECT instance_id, id, format(',"group_name":%s', to_json(name)::text) AS brief,
       format(',"api_group_info":{"id":"%1$s","status":1,"register_time":"%2$s",'
              '"update_time":"%3$s","on_sell_status":2,"url_domains":[],'
              '"sl_domain_access_enabled":%4$s,"name":%5$s,"sl_domain":%6$s},"group_name":%5$s',
              id, api_time(register_time), api_time(update_time),
              CASE WHEN sl_domain_access_enabled THEN 'true' ELSE 'false' END,
              to_json(name)::text, to_json(sl_domain)::text) AS whole
FROM api_group;

-- Many rows are joined with their groups, which lie in memory.
CREATE OR REPLACE VIEW api_text_json AS
SELECT a.instance_id, a.id, '{' || a.own || g.brief || '}' AS body,
       '{' || a.own || g.whole || '}' AS body_group,
       '{' || a.own || g.whole || a.backend || '}' AS body_backend,
       '{' || a.own || g.whole || a.backend || a.details || '}' AS body_all
FROM api_own_text a
JOIN api_group_text g ON g.instance_id = a.instance_id AND g.id = a.group_id;

-- One row asks for its own.
CREATE OR REPLACE VIEW api_detail_json AS
SELECT a.instance_id, a.id,
       '{' || a.own || (SELECT g.whole FROM api_group_text g
                        WHERE g.instance_id = a.instance_id AND g.id = a.group_id) ||
       a.backend || a.details || '}' AS body
FROM api_own_text a;
