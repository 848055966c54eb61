-- Features of a gateway, as set by its operator. What is not here has its default.

CREATE TABLE feature (
    instance_id text NOT NULL CONSTRAINT feature_instance_fkey
                REFERENCES instance (id) ON DELETE CASCADE,
    id          text NOT NULL,
    name        text NOT NULL,
    enable      boolean NOT NULL,
    config      text,
    update_time timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (instance_id, id),
    CONSTRAINT feature_name_key UNIQUE (instance_id, name)
);

CREATE VIEW feature_json AS
SELECT instance_id, id, jsonb_strip_nulls(jsonb_build_object(
    'id', id, 'name', name, 'enable', enable, 'config', config, 'instance_id', instance_id,
    'update_time', api_time(update_time))) AS body
FROM feature;

-- The settings as they act: a feature that is on goes before the administrator's setting.
CREATE VIEW gateway_setting AS
WITH of_feature AS (
    SELECT f.instance_id, m.setting AS name,
           CASE WHEN m.member IS NULL THEN f.config ELSE f.config::jsonb ->> m.member END AS value
    FROM feature f
    JOIN (VALUES ('backend_timeout', 'backend_timeout', 'max_timeout'),
                 ('ratelimit', 'api_default_limit', 'api_limits'),
                 ('request_body_size', 'request_body_size', NULL)) m (feature, setting, member)
        ON m.feature = f.name
    WHERE f.enable)
SELECT instance_id, name, value FROM of_feature
UNION ALL
SELECT s.instance_id, s.name, s.value FROM instance_setting s
WHERE NOT EXISTS (SELECT FROM of_feature o WHERE o.instance_id = s.instance_id AND o.name = s.name);
