-- A rename reads the publications of the APIs that it shows anew, and of no others: joined with api_online,
-- as in 0311, it made what all APIs of the gateway show, 0.6 s of each rename at 100,000.

CREATE OR REPLACE FUNCTION environment_shown() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM api_shown s WHERE s.instance_id = NEW.instance_id AND s.id IN (
        SELECT p.api_id FROM publication p WHERE p.instance_id = NEW.instance_id
        AND p.env_id = NEW.id AND p.version_id IS NOT NULL)
    ORDER BY s.id FOR NO KEY UPDATE;
    UPDATE api_shown s SET online = coalesce((
        SELECT o.online FROM api_online o
        WHERE o.instance_id = s.instance_id AND o.api_id = s.id), '')
    WHERE s.instance_id = NEW.instance_id AND s.id IN (
        SELECT p.api_id FROM publication p WHERE p.instance_id = NEW.instance_id
        AND p.env_id = NEW.id AND p.version_id IS NOT NULL);
    RETURN NULL;
END
$$;
