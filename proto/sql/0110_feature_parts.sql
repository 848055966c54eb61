-- Features whose configuration is an object, a word or a number; members that are secret.

-- A JSON object of the secret members of `config`, sealed; `config` lacks them.
ALTER TABLE feature ADD COLUMN secret bytea;

-- The settings as they act: a feature that is on goes before the administrator's setting. A
-- feature's configuration is one setting of its name, or one a member: "app_jwt.auth_header".
CREATE OR REPLACE VIEW gateway_setting AS
WITH of_feature AS NOT MATERIALIZED (
    SELECT p.instance_id, coalesce(m.setting, p.name) AS name, p.value
    FROM (SELECT f.instance_id, f.name, f.config AS value FROM feature f
          WHERE f.enable AND ltrim(f.config, E' \t\r\n') NOT LIKE '{%'
          UNION ALL
          SELECT f.instance_id, f.name || '.' || e.key, e.value FROM feature f
          CROSS JOIN LATERAL jsonb_each_text(
              CASE WHEN ltrim(f.config, E' \t\r\n') LIKE '{%' THEN f.config::jsonb END) e
          WHERE f.enable) p
    LEFT JOIN (VALUES ('backend_timeout.max_timeout', 'backend_timeout'),
                      ('ratelimit.api_limits', 'api_default_limit')) m (part, setting)
        ON m.part = p.name)
SELECT instance_id, name, value FROM of_feature
UNION ALL
SELECT s.instance_id, s.name, s.value FROM instance_setting s
WHERE NOT EXISTS (SELECT FROM of_feature o WHERE o.instance_id = s.instance_id AND o.name = s.name);
