-- What its APIs show of a group, written when the group is: it is read with each of them, and making
-- it costs the reader more than finding the row. Builds before write the group without these columns.
ALTER TABLE api_group ADD COLUMN brief_text text NOT NULL DEFAULT '',
                      ADD COLUMN whole_text text NOT NULL DEFAULT '';

CREATE FUNCTION api_group_shown() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.brief_text := format(',"group_name":%s', to_json(NEW.name)::text);
    NEW.whole_text := format(
        ',"api_group_info":{"id":"%s","status":1,"register_time":"%s","update_time":"%s",'
        '"on_sell_status":2,"url_domains":%s,"sl_domain_access_enabled":%s,"name":%s,'
        '"sl_domain":%s}%s',
        NEW.id, api_time(NEW.register_time), api_time(NEW.update_time), NEW.url_domains,
        CASE WHEN NEW.sl_domain_access_enabled THEN 'true' ELSE 'false' END,
        to_json(NEW.name)::text, to_json(NEW.sl_domain)::text, NEW.brief_text);
    RETURN NEW;
END
$$;
CREATE TRIGGER api_group_shown BEFORE INSERT OR UPDATE ON api_group
    FOR EACH ROW EXECUTE FUNCTION api_group_shown();

UPDATE api_group SET brief_text = '';

CREATE OR REPLACE VIEW api_group_text AS
SELECT instance_id, id, brief_text AS brief, whole_text AS whole FROM api_group;
