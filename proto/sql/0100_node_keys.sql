-- The gateway's entry lists its nodes' public keys: nodes give each other their first image by it.
INSERT INTO runtime_change (gateway_id, kind, key) SELECT id, 'gateway', id FROM instance;
