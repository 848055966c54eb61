-- What lists need so that they read what matches, and not the gateway (tests/unit/registry/plans_test.c).

-- %part%, with what LIKE takes specially escaped: the pattern of a fuzzy filter.
CREATE FUNCTION part_pattern(part text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '%' || regexp_replace(part, '([\\%_])', '\\\1', 'g') || '%';

-- Filters of 3.5.7 and of the apps' list that few rows may match.
CREATE INDEX api_req_method ON api (instance_id, req_method);
CREATE INDEX api_req_protocol ON api (instance_id, req_protocol);
CREATE INDEX api_auth_type ON api (instance_id, auth_type);
CREATE INDEX api_type ON api (instance_id, type);
CREATE INDEX app_status ON app (instance_id, status);
CREATE INDEX app_creator ON app (instance_id, creator);
CREATE INDEX env_variable_name_trgm ON env_variable USING gin (variable_name gin_trgm_ops);

-- Which publication serves a version: asked by lists of versions, and by PostgreSQL for the foreign
-- key whenever a version is pruned.
CREATE INDEX publication_version ON publication (instance_id, version_id);

-- Lists pick rows by `id`, which these tables only repeat.
CREATE UNIQUE INDEX publication_id ON publication (instance_id, id);
CREATE UNIQUE INDEX api_version_id ON api_version (instance_id, id);
