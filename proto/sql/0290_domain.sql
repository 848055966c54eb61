-- Domains of groups: what calls reach a group by, beside its debugging domain.

CREATE TABLE group_domain (
    instance_id      text NOT NULL CONSTRAINT group_domain_instance_fkey
                     REFERENCES instance (id) ON DELETE CASCADE,
    id               text NOT NULL,
    group_id         text NOT NULL,
    url_domain       text NOT NULL,     -- lower case; *.example.com: whatever ends so
    min_ssl_version  text NOT NULL DEFAULT 'TLSv1.1',
    is_http_redirect_to_https           boolean NOT NULL DEFAULT false,
    verified_client_certificate_enabled boolean NOT NULL DEFAULT false,
    bound_time       timestamptz NOT NULL DEFAULT now(),
    -- of its runtime entry, whose key has at most 128 characters
    host_key         text NOT NULL GENERATED ALWAYS AS
                     (CASE WHEN length(url_domain) <= 128 THEN url_domain ELSE md5(url_domain) END)
                     STORED,
    PRIMARY KEY (instance_id, id),
    CONSTRAINT group_domain_name_key UNIQUE (instance_id, url_domain),
    CONSTRAINT group_domain_group_fkey FOREIGN KEY (instance_id, group_id)
        REFERENCES api_group (instance_id, id) ON DELETE CASCADE
);
CREATE INDEX group_domain_host ON group_domain (instance_id, host_key);
CREATE INDEX group_domain_group ON group_domain (instance_id, group_id, bound_time, id);

CREATE VIEW group_domain_json AS
SELECT instance_id, id, jsonb_build_object(
    'id', id, 'url_domain', url_domain, 'status', 3, 'min_ssl_version', min_ssl_version,
    'is_http_redirect_to_https', is_http_redirect_to_https,
    'verified_client_certificate_enabled', verified_client_certificate_enabled) AS body
FROM group_domain;

-- What groups, and the APIs in them, show of their domains: written when a domain changes, as they
-- are read a thousand times in between.
ALTER TABLE api_group ADD COLUMN url_domains text NOT NULL DEFAULT '[]';

CREATE FUNCTION group_domains(of_instance text, of_group text) RETURNS text LANGUAGE sql STABLE
    RETURN (SELECT coalesce(jsonb_agg(jsonb_build_object(
                'id', id, 'domain', url_domain, 'cname_status', 3,
                'min_ssl_version', min_ssl_version,
                'verified_client_certificate_enabled', verified_client_certificate_enabled)
                ORDER BY bound_time, id), '[]')::text
            FROM group_domain WHERE instance_id = of_instance AND group_id = of_group);

CREATE FUNCTION group_domain_shown() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    of group_domain := coalesce(NEW, OLD);
BEGIN
    UPDATE api_group SET url_domains = group_domains(of.instance_id, of.group_id)
    WHERE instance_id = of.instance_id AND id = of.group_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER group_domain_shown AFTER INSERT OR UPDATE OR DELETE ON group_domain
    FOR EACH ROW EXECUTE FUNCTION group_domain_shown();

CREATE OR REPLACE VIEW api_group_info AS
SELECT instance_id, id, jsonb_build_object(
    'id', id, 'name', name, 'status', 1, 'sl_domain', sl_domain,
    'register_time', api_time(register_time), 'update_time', api_time(update_time),
    'on_sell_status', 2, 'url_domains', url_domains::jsonb,
    'sl_domain_access_enabled', sl_domain_access_enabled) AS body
FROM api_group;

CREATE OR REPLACE VIEW api_group_text AS
SELECT instance_id, id, format(',"group_name":%s', to_json(name)::text) AS brief,
       format(',"api_group_info":{"id":"%1$s","status":1,"register_time":"%2$s",'
              '"update_time":"%3$s","on_sell_status":2,"url_domains":%7$s,'
              '"sl_domain_access_enabled":%4$s,"name":%5$s,"sl_domain":%6$s},"group_name":%5$s',
              id, api_time(register_time), api_time(update_time),
              CASE WHEN sl_domain_access_enabled THEN 'true' ELSE 'false' END,
              to_json(name)::text, to_json(sl_domain)::text, url_domains) AS whole
FROM api_group;
