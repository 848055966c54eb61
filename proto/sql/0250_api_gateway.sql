-- What an API costs when it is made. That its gateway exists follows from its group's; asking for both
-- locked the gateway's row beside all others that are made at the same time. And a constraint of a
-- check is read anew by each statement that changes a counter, which greatest() keeps from 0 down.

ALTER TABLE api DROP CONSTRAINT api_instance_fkey;
ALTER TABLE quota_usage DROP CONSTRAINT quota_usage_used_check;

-- A gateway takes its APIs along. Who is making one holds its group, for which this waits; who comes
-- later waits for the group in turn, and does not find it.
CREATE FUNCTION instance_drop_apis() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM api_group WHERE instance_id = OLD.id ORDER BY id FOR UPDATE;
    DELETE FROM publication WHERE instance_id = OLD.id;
    DELETE FROM api WHERE instance_id = OLD.id;
    RETURN OLD;
END
$$;
CREATE TRIGGER instance_apis BEFORE DELETE ON instance
    FOR EACH ROW EXECUTE FUNCTION instance_drop_apis();
