-- Takes units of a quota or refuses, in one statement that can travel with the commit: the row is
-- locked for no longer than the commit takes, whatever the caller's machine does meanwhile. What is
-- refused ends the transaction; the error names the quota (table), its limit (detail), and as its
-- constraint quota_<quota>.

CREATE FUNCTION quota_take(gateway text, name text, place text, units integer, fallback integer)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    most integer;
BEGIN
    UPDATE quota_usage q SET used = q.used + units
    WHERE q.instance_id = gateway AND q.quota = name AND q.scope = place
    AND q.used + units <= q."limit";
    IF FOUND THEN
        RETURN;
    END IF;
    -- Either the limit is reached or nobody has counted here before.
    INSERT INTO quota_usage (instance_id, quota, scope, used, "limit")
    VALUES (gateway, name, place, 0,
            coalesce((SELECT s.value::integer FROM instance_setting s
                      WHERE s.instance_id = gateway AND s.name = 'quota_' || quota_take.name),
                     fallback))
    ON CONFLICT DO NOTHING;
    UPDATE quota_usage q SET used = q.used + units
    WHERE q.instance_id = gateway AND q.quota = name AND q.scope = place
    AND q.used + units <= q."limit";
    IF FOUND THEN
        RETURN;
    END IF;
    SELECT q."limit" INTO most FROM quota_usage q
    WHERE q.instance_id = gateway AND q.quota = name AND q.scope = place;
    RAISE EXCEPTION 'quota % is used up', name
        USING ERRCODE = 'SL001', CONSTRAINT = 'quota_' || name, TABLE = name, DETAIL = most;
END
$$;
