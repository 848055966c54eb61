-- Whoever took a unit of a quota kept all others waiting at its counter until its commit was on disk.
-- Far from the limit a session takes a portion with its unit, and spends that on a row of its own:
-- `used` of quota_usage holds what is spent and what lies in portions. Near the limit there are none:
-- portions become smaller as the room does, and who finds no room gathers those that are left. Nor
-- are there any while few are used: builds before take `used` for a total.

CREATE TABLE quota_portion (
    instance_id text NOT NULL,
    quota       text NOT NULL,
    scope       text NOT NULL,
    stripe      integer NOT NULL,       -- of the sessions that share it
    spare       integer NOT NULL,       -- units that nobody has spent
    PRIMARY KEY (instance_id, quota, scope, stripe),
    CONSTRAINT quota_portion_usage_fkey FOREIGN KEY (instance_id, quota, scope)
        REFERENCES quota_usage (instance_id, quota, scope) ON DELETE CASCADE
);

-- What is used, to the unit.
CREATE VIEW quota_spent AS
SELECT q.instance_id, q.quota, q.scope, q."limit",
       (q.used - coalesce((SELECT sum(p.spare) FROM quota_portion p
                           WHERE p.instance_id = q.instance_id AND p.quota = q.quota
                           AND p.scope = q.scope), 0))::integer AS used
FROM quota_usage q;

-- Takes all portions back, waiting for those who spend of them; the caller holds the counter.
CREATE FUNCTION quota_gather(gateway text, name text, place text) RETURNS integer LANGUAGE sql AS $$
    WITH gone AS (DELETE FROM quota_portion p
                  WHERE p.instance_id = gateway AND p.quota = name AND p.scope = place
                  RETURNING p.spare)
    SELECT coalesce(sum(spare), 0)::integer FROM gone
$$;

-- A limit that changes leaves no portions behind that the new one might not allow.
CREATE FUNCTION quota_usage_gather() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.used := NEW.used - quota_gather(OLD.instance_id, OLD.quota, OLD.scope);
    RETURN NEW;
END
$$;
CREATE TRIGGER quota_usage_limit BEFORE UPDATE OF "limit" ON quota_usage
    FOR EACH ROW EXECUTE FUNCTION quota_usage_gather();

-- As in 0115: takes units or refuses, in one statement that can travel with the commit.
CREATE OR REPLACE FUNCTION quota_take(gateway text, name text, place text, units integer,
                                      fallback integer)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    own integer := pg_backend_pid() % 32;
    counter quota_usage;
    portion integer := 0;
BEGIN
    IF units = 1 THEN
        UPDATE quota_portion p SET spare = p.spare - 1
        WHERE p.instance_id = gateway AND p.quota = name AND p.scope = place AND p.stripe = own
        AND p.spare > 0;
        IF FOUND THEN
            RETURN;
        END IF;
    END IF;
    LOOP
        SELECT * INTO counter FROM quota_usage q
        WHERE q.instance_id = gateway AND q.quota = name AND q.scope = place FOR NO KEY UPDATE;
        EXIT WHEN FOUND;
        INSERT INTO quota_usage (instance_id, quota, scope, used, "limit")
        VALUES (gateway, name, place, 0,
                coalesce((SELECT s.value::integer FROM instance_setting s
                          WHERE s.instance_id = gateway
                          AND s.name = 'quota_' || quota_take.name), fallback))
        ON CONFLICT DO NOTHING;
    END LOOP;
    IF counter.used + units > counter."limit" THEN
        counter.used := counter.used - quota_gather(gateway, name, place);
    END IF;
    IF counter.used + units > counter."limit" THEN
        RAISE EXCEPTION 'quota % is used up', name
            USING ERRCODE = 'SL001', CONSTRAINT = 'quota_' || name, TABLE = name,
                  DETAIL = counter."limit";
    END IF;
    IF units = 1 THEN
        portion := least((counter."limit" - counter.used - units) / 64, counter.used / 64, 32);
    END IF;
    UPDATE quota_usage q SET used = counter.used + units + portion
    WHERE q.instance_id = gateway AND q.quota = name AND q.scope = place;
    IF portion > 0 THEN
        INSERT INTO quota_portion AS p (instance_id, quota, scope, stripe, spare)
        VALUES (gateway, name, place, own, portion)
        ON CONFLICT (instance_id, quota, scope, stripe)
        DO UPDATE SET spare = p.spare + excluded.spare;
    END IF;
END
$$;
