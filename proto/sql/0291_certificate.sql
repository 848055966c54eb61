-- Certificates: of a project, or of one of its gateways alone; and which domains show them.

ALTER TABLE instance
    ADD CONSTRAINT instance_of_project_key UNIQUE (id, project_id);

CREATE TABLE certificate (
    project_id  text NOT NULL CONSTRAINT certificate_project_fkey REFERENCES project (id),
    id          text NOT NULL,
    instance_id text,                   -- whose it is; NULL: all gateways of the project have it
    name        text NOT NULL,
    content     text NOT NULL,          -- PEM, its own first, then who signed each
    certificate_key bytea NOT NULL,     -- private key, PEM, sealed
    trusted_root_ca text,               -- PEM: by whom clients' certificates are signed
    algorithm   text NOT NULL,          -- RSA, ECC
    facts       jsonb NOT NULL,         -- what it says of itself, as clients see it
    by_domain   boolean NOT NULL DEFAULT false, -- made with the domain it was for (3.12.2)
    create_time timestamptz NOT NULL DEFAULT now(),
    update_time timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project_id, id),
    CONSTRAINT certificate_algorithm_key UNIQUE (project_id, id, algorithm),
    CONSTRAINT certificate_name_key UNIQUE (project_id, name),
    CONSTRAINT certificate_gateway_fkey FOREIGN KEY (instance_id, project_id)
        REFERENCES instance (id, project_id) ON DELETE CASCADE
);
CREATE INDEX certificate_list ON certificate (project_id, create_time, id);
CREATE INDEX certificate_gateway ON certificate (instance_id);

CREATE TABLE domain_certificate (
    instance_id    text NOT NULL,
    domain_id      text NOT NULL,
    project_id     text NOT NULL,
    certificate_id text NOT NULL,
    algorithm      text NOT NULL,       -- a domain shows one of each
    bound_time     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (instance_id, domain_id, certificate_id),
    CONSTRAINT domain_certificate_algorithm_key UNIQUE (instance_id, domain_id, algorithm)
        DEFERRABLE INITIALLY IMMEDIATE,
    CONSTRAINT domain_certificate_gateway_fkey FOREIGN KEY (instance_id, project_id)
        REFERENCES instance (id, project_id) ON DELETE CASCADE,
    CONSTRAINT domain_certificate_domain_fkey FOREIGN KEY (instance_id, domain_id)
        REFERENCES group_domain (instance_id, id) ON DELETE CASCADE,
    CONSTRAINT domain_certificate_certificate_fkey
        FOREIGN KEY (project_id, certificate_id, algorithm)
        REFERENCES certificate (project_id, id, algorithm) ON UPDATE CASCADE
);
CREATE INDEX domain_certificate_certificate
    ON domain_certificate (project_id, certificate_id, instance_id, domain_id);

CREATE VIEW certificate_json AS
SELECT project_id, id, jsonb_strip_nulls(jsonb_build_object(
    'id', id, 'name', name, 'instance_id', instance_id, 'project_id', project_id,
    'type', CASE WHEN instance_id IS NULL THEN 'global' ELSE 'instance' END,
    'is_has_trusted_root_ca', trusted_root_ca IS NOT NULL,
    'create_time', api_time(create_time), 'update_time', api_time(update_time))) AS brief,
    facts - 'algorithm' AS facts
FROM certificate;

CREATE VIEW domain_certificate_json AS
SELECT b.project_id, b.certificate_id, b.instance_id, b.domain_id, d.url_domain, b.bound_time,
       v.body || jsonb_build_object('ssl_id', c.id, 'ssl_name', c.name) AS body,
       jsonb_build_object('instance_id', b.instance_id, 'api_group_id', g.id,
                          'api_group_name', g.name) AS place
FROM domain_certificate b
JOIN certificate c ON c.project_id = b.project_id AND c.id = b.certificate_id
JOIN group_domain d ON d.instance_id = b.instance_id AND d.id = b.domain_id
JOIN group_domain_json v ON v.instance_id = d.instance_id AND v.id = d.id
JOIN api_group g ON g.instance_id = d.instance_id AND g.id = d.group_id;

-- What groups show of their domains has a domain's first certificate.
CREATE OR REPLACE FUNCTION group_domains(of_instance text, of_group text) RETURNS text
    LANGUAGE sql STABLE
    RETURN (SELECT coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                'id', d.id, 'domain', d.url_domain, 'cname_status', 3,
                'min_ssl_version', d.min_ssl_version, 'ssl_id', c.id, 'ssl_name', c.name,
                'is_has_trusted_root_ca', coalesce(c.trusted_root_ca IS NOT NULL, false),
                'verified_client_certificate_enabled', d.verified_client_certificate_enabled))
                ORDER BY d.bound_time, d.id), '[]')::text
            FROM group_domain d LEFT JOIN LATERAL (
                SELECT c.id, c.name, c.trusted_root_ca FROM domain_certificate b
                JOIN certificate c ON c.project_id = b.project_id AND c.id = b.certificate_id
                WHERE b.instance_id = d.instance_id AND b.domain_id = d.id
                ORDER BY b.bound_time, b.certificate_id LIMIT 1) c ON true
            WHERE d.instance_id = of_instance AND d.group_id = of_group);

CREATE FUNCTION domain_certificate_shown() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    of domain_certificate := coalesce(NEW, OLD);
BEGIN
    UPDATE api_group g SET url_domains = group_domains(g.instance_id, g.id) FROM group_domain d
    WHERE d.instance_id = of.instance_id AND d.id = of.domain_id
          AND g.instance_id = d.instance_id AND g.id = d.group_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER domain_certificate_shown AFTER INSERT OR DELETE ON domain_certificate
    FOR EACH ROW EXECUTE FUNCTION domain_certificate_shown();

CREATE FUNCTION certificate_shown() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE api_group g SET url_domains = group_domains(g.instance_id, g.id)
    FROM domain_certificate b JOIN group_domain d
         ON d.instance_id = b.instance_id AND d.id = b.domain_id
    WHERE b.project_id = NEW.project_id AND b.certificate_id = NEW.id
          AND g.instance_id = d.instance_id AND g.id = d.group_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER certificate_shown AFTER UPDATE ON certificate
    FOR EACH ROW EXECUTE FUNCTION certificate_shown();
