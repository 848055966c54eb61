-- Gateways as the API shows them. What a cloud has and a self-hosted gateway has not (networks,
-- bandwidths, billing) is null or empty.

CREATE VIEW instance_brief_json AS
SELECT id, project_id, jsonb_build_object(
    'id', id, 'project_id', project_id, 'instance_name', name, 'status', 'Running',
    'instance_status', 6, 'type', 'apig', 'spec', spec,
    'create_time', floor(extract(epoch FROM created_at) * 1000)::bigint,
    'enterprise_project_id', '0', 'eip_address', addresses[1], 'charging_mode', 0,
    'cbc_metadata', '', 'loadbalancer_provider', 'elb') AS body
FROM instance;

CREATE VIEW instance_json AS
SELECT i.id, i.project_id, b.body || jsonb_build_object(
    'description', i.description, 'vpc_id', '', 'subnet_id', '', 'security_group_id', '',
    'maintain_begin', '22:00:00', 'maintain_end', '02:00:00',
    'ingress_ip', coalesce(i.addresses[1], ''), 'user_id', '', 'nat_eip_address', '',
    'bandwidth_size', 0, 'bandwidth_charging_mode', 'traffic', 'available_zone_ids', '[]',
    'instance_version', '1', 'virsubnet_id', '', 'supported_features', '[]'::jsonb,
    'endpoint_services', '[]'::jsonb,
    'node_ips', jsonb_build_object('livedata', '[]'::jsonb, 'shubao', to_jsonb(i.addresses)),
    'publicips', '[]'::jsonb,
    'privateips', (SELECT coalesce(jsonb_agg(jsonb_build_object('ip_address', a,
                   'bandwidth_size', 0)), '[]'::jsonb) FROM unnest(i.addresses) a),
    'unreliable_ips', '[]'::jsonb, 'is_releasable', true,
    'ingress_bandwidth_charging_mode', 'traffic') AS body
FROM instance i JOIN instance_brief_json b USING (id);
