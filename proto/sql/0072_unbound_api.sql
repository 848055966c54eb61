-- Publications as rows of lists: those that nothing of a kind is bound to.

CREATE VIEW unbound_api_json AS
SELECT p.instance_id, p.id, jsonb_strip_nulls(jsonb_build_object(
    'id', a.id, 'name', a.name, 'auth_type', a.auth_type, 'req_uri', a.req_uri,
    'remark', a.remark, 'group_id', a.group_id, 'group_name', g.name,
    'run_env_id', p.env_id, 'run_env_name', e.name, 'publish_id', p.publish_id)) AS body
FROM publication p
JOIN api a ON a.instance_id = p.instance_id AND a.id = p.api_id
JOIN api_group g ON g.instance_id = a.instance_id AND g.id = a.group_id
JOIN environment e ON e.instance_id = p.instance_id AND e.id = p.env_id;
