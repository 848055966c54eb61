-- What lists of authorisations and of bound policies show.

CREATE VIEW app_auth_info_json AS
SELECT u.instance_id, u.id, jsonb_strip_nulls(jsonb_build_object(
    'id', u.id, 'api_id', u.api_id, 'api_name', a.name, 'api_type', a.type, 'api_remark', a.remark,
    'group_id', a.group_id, 'group_name', g.name, 'env_id', u.env_id, 'env_name', e.name,
    'app_id', u.app_id, 'app_name', p.name, 'app_remark', p.remark, 'app_type', 'apig',
    'app_creator', p.creator, 'publish_id', b.publish_id, 'auth_role', u.auth_role,
    'auth_tunnel', 'NORMAL', 'auth_time', api_time(u.auth_time))) AS body
FROM app_auth u
JOIN api a ON a.instance_id = u.instance_id AND a.id = u.api_id
JOIN api_group g ON g.instance_id = a.instance_id AND g.id = a.group_id
JOIN environment e ON e.instance_id = u.instance_id AND e.id = u.env_id
JOIN app p ON p.instance_id = u.instance_id AND p.id = u.app_id
LEFT JOIN publication b ON b.instance_id = u.instance_id AND b.api_id = u.api_id
    AND b.env_id = u.env_id;

CREATE VIEW bound_throttle_json AS
SELECT b.instance_id, b.id, t.body || jsonb_build_object(
    'env_name', e.name, 'bind_id', b.id, 'bind_time', api_time(b.apply_time)) AS body
FROM throttle_binding b
JOIN throttle_json t ON t.instance_id = b.instance_id AND t.id = b.throttle_id
JOIN publication p ON p.instance_id = b.instance_id AND p.publish_id = b.publish_id
JOIN environment e ON e.instance_id = p.instance_id AND e.id = p.env_id;
