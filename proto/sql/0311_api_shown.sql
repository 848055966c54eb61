-- What an API shows, written when it is written, as 0310 does for its group: making the members of a row
-- ready costs a reader twice what finding the row does. Beside the row, not in it: audit records and
-- versions hold the row as it stands. Builds before write the tables below and read the views.
--
-- Who writes it locks in this order: the API's row, the environments that it is or was online in (KEY
-- SHARE), api_shown. All writers of one API's publications hold its row first, or delete the gateway. A
-- rename holds its environment, whose name is part of a key, so that KEY SHARE waits for it, and then
-- takes the rows of api_shown in the order of their ids.

-- No commit between what is read to fill the table and the triggers; who waits for one of these holds
-- none of those after it.
LOCK TABLE publication, api, environment IN SHARE ROW EXCLUSIVE MODE;

-- No foreign key: its check costs a creation more than the row does. A row comes and goes with its API's.
CREATE TABLE api_shown (
    instance_id text NOT NULL,
    id          text NOT NULL,
    group_id    text NOT NULL,
    own         text NOT NULL,      -- members of the API's row, as api_own makes them
    online      text NOT NULL,      -- where it is online, as api_online makes them, or ''
    backend     text NOT NULL,      -- api_backend
    details     text NOT NULL,      -- api_details
    PRIMARY KEY (instance_id, id)
);
-- As audit's (0211): a few kilobytes stay whole in their page.
ALTER TABLE api_shown SET (toast_tuple_target = 8160);

-- Where an API is online, joined by '|' as it shows it.
CREATE VIEW api_online AS
SELECT p.instance_id, p.api_id,
       format(',"run_env_id":"%s","publish_id":"%s","publish_time":"%s","run_env_name":%s',
              string_agg(p.env_id, '|' ORDER BY p.publish_time, p.env_id),
              string_agg(p.publish_id, '|' ORDER BY p.publish_time, p.env_id),
              string_agg(api_time(p.publish_time), '|' ORDER BY p.publish_time, p.env_id),
              to_json(string_agg(e.name, '|' ORDER BY p.publish_time, p.env_id))::text) AS online
FROM publication p
JOIN environment e ON e.instance_id = p.instance_id AND e.id = p.env_id
WHERE p.version_id IS NOT NULL
GROUP BY p.instance_id, p.api_id;

-- What api_shown has to hold: it differs from this in no row. Who changes one of these functions fills
-- the table anew.
CREATE VIEW api_shown_due AS
SELECT a.instance_id, a.id, a.group_id, api_own(a, NULL) AS own, coalesce(o.online, '') AS online,
       api_backend(a) AS backend, api_details(a) AS details
FROM api a
LEFT JOIN api_online o ON o.instance_id = a.instance_id AND o.api_id = a.id;

-- Two statements: with ON CONFLICT a creation would pay for what it never needs.
CREATE FUNCTION api_shown_write() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO api_shown (instance_id, id, group_id, own, online, backend, details)
        VALUES (NEW.instance_id, NEW.id, NEW.group_id, api_own(NEW, NULL), '', api_backend(NEW),
                api_details(NEW));
    ELSE
        UPDATE api_shown s SET group_id = NEW.group_id, own = api_own(NEW, NULL),
            backend = api_backend(NEW), details = api_details(NEW)
        WHERE s.instance_id = NEW.instance_id AND s.id = NEW.id;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER api_shown_write AFTER INSERT OR UPDATE ON api
    FOR EACH ROW EXECUTE FUNCTION api_shown_write();

-- Once a statement: a gateway takes 100,000 along.
CREATE FUNCTION api_shown_remove() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM api_shown s USING gone g WHERE s.instance_id = g.instance_id AND s.id = g.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER api_shown_remove AFTER DELETE ON api REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION api_shown_remove();

-- Each statement sees what was committed before it: a name that it waited for is the new one.
CREATE FUNCTION publication_shown() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM environment e WHERE e.instance_id = NEW.instance_id AND e.id IN (
        SELECT p.env_id FROM publication p
        WHERE p.instance_id = NEW.instance_id AND p.api_id = NEW.api_id)
    ORDER BY e.id FOR KEY SHARE;
    UPDATE api_shown s SET online = coalesce((
        SELECT o.online FROM api_online o
        WHERE o.instance_id = NEW.instance_id AND o.api_id = NEW.api_id), '')
    WHERE s.instance_id = NEW.instance_id AND s.id = NEW.api_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER publication_shown_new AFTER INSERT ON publication FOR EACH ROW
    WHEN (NEW.version_id IS NOT NULL) EXECUTE FUNCTION publication_shown();
-- Who publishes again changes the time, who goes offline the version; no other of what is shown changes.
CREATE TRIGGER publication_shown_change AFTER UPDATE OF version_id, publish_time ON publication
    FOR EACH ROW
    WHEN ((OLD.version_id IS NULL) <> (NEW.version_id IS NULL) OR OLD.publish_time <> NEW.publish_time)
    EXECUTE FUNCTION publication_shown();

-- Nothing but its gateway's end deletes a publication that is online, and that has deleted what is shown.
CREATE FUNCTION publication_shown_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM gone WHERE version_id IS NOT NULL) THEN
        PERFORM FROM environment e WHERE (e.instance_id, e.id) IN (
            SELECT g.instance_id, g.env_id FROM gone g
            UNION ALL SELECT p.instance_id, p.env_id FROM gone g
            JOIN publication p ON p.instance_id = g.instance_id AND p.api_id = g.api_id)
        ORDER BY e.instance_id, e.id FOR KEY SHARE;
        UPDATE api_shown s SET online = coalesce((
            SELECT o.online FROM api_online o
            WHERE o.instance_id = s.instance_id AND o.api_id = s.id), '')
        WHERE (s.instance_id, s.id) IN (
            SELECT g.instance_id, g.api_id FROM gone g WHERE g.version_id IS NOT NULL);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER publication_shown_gone AFTER DELETE ON publication REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION publication_shown_gone();

-- The rows are locked by a statement of their own: where another environment of one is renamed at the
-- same time, who comes second sees both names. None comes to be online here meanwhile.
CREATE FUNCTION environment_shown() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM api_shown s WHERE s.instance_id = NEW.instance_id AND s.id IN (
        SELECT p.api_id FROM publication p WHERE p.instance_id = NEW.instance_id
        AND p.env_id = NEW.id AND p.version_id IS NOT NULL)
    ORDER BY s.id FOR NO KEY UPDATE;
    UPDATE api_shown s SET online = o.online FROM api_online o
    WHERE s.instance_id = NEW.instance_id AND o.instance_id = NEW.instance_id AND o.api_id = s.id
    AND s.id IN (SELECT p.api_id FROM publication p WHERE p.instance_id = NEW.instance_id
                 AND p.env_id = NEW.id AND p.version_id IS NOT NULL);
    RETURN NULL;
END
$$;
CREATE TRIGGER environment_shown AFTER UPDATE OF name ON environment FOR EACH ROW
    WHEN (OLD.name <> NEW.name) EXECUTE FUNCTION environment_shown();

-- As in 0250. What is shown goes once nobody else writes it: who publishes holds the gateway, who
-- changes an API its row, who renames an environment that.
CREATE OR REPLACE FUNCTION instance_drop_apis() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM api_group WHERE instance_id = OLD.id ORDER BY id FOR UPDATE;
    PERFORM FROM environment WHERE instance_id = OLD.id ORDER BY id FOR UPDATE;
    PERFORM FROM api WHERE instance_id = OLD.id ORDER BY id FOR UPDATE;
    DELETE FROM api_shown WHERE instance_id = OLD.id;
    DELETE FROM publication WHERE instance_id = OLD.id;
    DELETE FROM api WHERE instance_id = OLD.id;
    RETURN OLD;
END
$$;

INSERT INTO api_shown (instance_id, id, group_id, own, online, backend, details)
SELECT instance_id, id, group_id, own, online, backend, details FROM api_shown_due;
ANALYZE api_shown;

CREATE OR REPLACE VIEW api_own_text AS
SELECT instance_id, id, group_id, own || online AS own, backend, details FROM api_shown;
