-- Backends that conditions choose, in the order in which they are tried.

ALTER TABLE api ADD COLUMN policy_https jsonb;
ALTER TABLE api ADD COLUMN policy_mocks jsonb;

CREATE OR REPLACE VIEW api_json AS
SELECT b.instance_id, b.id, b.body_backend || jsonb_strip_nulls(jsonb_build_object(
    'req_params', a.req_params, 'backend_params', a.backend_params,
    'policy_https', a.policy_https, 'policy_mocks', a.policy_mocks)) AS body
FROM api_brief_json b JOIN api a ON a.instance_id = b.instance_id AND a.id = b.id;
