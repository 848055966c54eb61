-- Finds the versions that share group, environment, method and path: publishing refuses a definition
-- that would shadow another one that is published.
CREATE INDEX api_version_route ON api_version (
    instance_id, env_id, (definition ->> 'group_id'), (definition ->> 'req_uri_shape'),
    (definition ->> 'req_method'));
