-- Signature keys, by which the gateway proves itself to backends, and the published APIs that they are
-- bound to. Key and secret are sealed; the keyed hash beside a key of type public_key, by which
-- backends ask for it, keeps that one unique.

CREATE TABLE sign (
    instance_id        text NOT NULL CONSTRAINT sign_instance_fkey
                       REFERENCES instance (id) ON DELETE CASCADE,
    id                 text NOT NULL,
    name               text NOT NULL,
    sign_type          text NOT NULL DEFAULT 'hmac',
    sign_algorithm     text,                -- of type aes
    sign_key           bytea NOT NULL,      -- context sign_key:<id>
    sign_key_lookup    text NOT NULL,       -- context sign_key
    sign_secret        bytea NOT NULL,      -- context sign_secret:<id>
    sign_secret_lookup text NOT NULL,       -- context sign_secret
    -- a key that stands in the address of its public half, which only one may have
    asked_by           text GENERATED ALWAYS AS
                       (CASE WHEN sign_type = 'public_key' THEN sign_key_lookup END) STORED,
    create_time        timestamptz NOT NULL DEFAULT now(),
    update_time        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (instance_id, id),
    CONSTRAINT sign_name_key UNIQUE (instance_id, name),
    CONSTRAINT sign_asked_key UNIQUE (instance_id, asked_by)
);
CREATE INDEX sign_list ON sign (instance_id, create_time, id DESC);
CREATE INDEX sign_name_trgm ON sign USING gin (name gin_trgm_ops);

CREATE TABLE sign_binding (
    instance_id  text NOT NULL CONSTRAINT sign_binding_instance_fkey
                 REFERENCES instance (id) ON DELETE CASCADE,
    id           text NOT NULL,
    sign_id      text NOT NULL,
    publish_id   text NOT NULL,
    binding_time timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (instance_id, id),
    CONSTRAINT sign_binding_sign_fkey FOREIGN KEY (instance_id, sign_id)
        REFERENCES sign (instance_id, id) ON DELETE CASCADE,
    CONSTRAINT sign_binding_publication_fkey FOREIGN KEY (instance_id, publish_id)
        REFERENCES publication (instance_id, publish_id) ON DELETE CASCADE,
    CONSTRAINT sign_binding_publication_key UNIQUE (instance_id, publish_id)
);
CREATE INDEX sign_binding_sign ON sign_binding (instance_id, sign_id);

CREATE VIEW sign_json AS
SELECT s.instance_id, s.id, jsonb_strip_nulls(jsonb_build_object(
    'id', s.id, 'name', s.name, 'sign_type', s.sign_type, 'sign_algorithm', s.sign_algorithm,
    'create_time', api_time(s.create_time), 'update_time', api_time(s.update_time))) AS body
FROM sign s;

CREATE VIEW sign_list_json AS
SELECT s.instance_id, s.id, s.body || jsonb_build_object('ldapi_bind_num', 0, 'bind_num',
    (SELECT count(*) FROM sign_binding b
     WHERE b.instance_id = s.instance_id AND b.sign_id = s.id)) AS body
FROM sign_json s;

-- `sign_id` says where the sealed columns stand.
CREATE VIEW sign_bound_api_json AS
SELECT b.instance_id, b.id, b.sign_id, jsonb_strip_nulls(jsonb_build_object(
    'id', b.id, 'publish_id', b.publish_id, 'binding_time', api_time(b.binding_time),
    'sign_id', b.sign_id, 'sign_name', s.name, 'api_id', a.id, 'api_name', a.name,
    'api_type', a.type, 'api_remark', a.remark, 'req_method', a.req_method,
    'group_name', g.name, 'env_id', p.env_id, 'env_name', e.name)) AS body
FROM sign_binding b
JOIN sign s ON s.instance_id = b.instance_id AND s.id = b.sign_id
JOIN publication p ON p.instance_id = b.instance_id AND p.publish_id = b.publish_id
JOIN api a ON a.instance_id = p.instance_id AND a.id = p.api_id
JOIN api_group g ON g.instance_id = a.instance_id AND g.id = a.group_id
JOIN environment e ON e.instance_id = p.instance_id AND e.id = p.env_id;

CREATE VIEW bound_sign_json AS
SELECT v.instance_id, v.id, v.sign_id,
    v.body || jsonb_build_object('sign_type', s.sign_type) AS body
FROM sign_bound_api_json v
JOIN sign s ON s.instance_id = v.instance_id AND s.id = v.sign_id;

-- A publication with the key that it has, if any.
CREATE VIEW sign_publication_json AS
SELECT p.instance_id, p.id, jsonb_strip_nulls(jsonb_build_object(
    'id', a.id, 'name', a.name, 'type', a.type, 'remark', a.remark, 'auth_type', a.auth_type,
    'req_method', a.req_method, 'req_uri', a.req_uri, 'group_id', a.group_id,
    'group_name', g.name, 'publish_id', p.publish_id, 'run_env_id', p.env_id,
    'run_env_name', e.name, 'signature_name', s.name)) AS body
FROM publication p
JOIN api a ON a.instance_id = p.instance_id AND a.id = p.api_id
JOIN api_group g ON g.instance_id = a.instance_id AND g.id = a.group_id
JOIN environment e ON e.instance_id = p.instance_id AND e.id = p.env_id
LEFT JOIN sign_binding b ON b.instance_id = p.instance_id AND b.publish_id = p.publish_id
LEFT JOIN sign s ON s.instance_id = b.instance_id AND s.id = b.sign_id;
