-- When an app called first since it has its quota: from then on count the windows of a quota without
-- a time of its own. Written by whoever owns the limit's key, when a node asks for it.

-- `began_s` speaks of the having of a quota that began at `began_of`; giving the app another quota
-- leaves both behind.
ALTER TABLE app_quota_app ADD COLUMN began_s bigint, ADD COLUMN began_of timestamptz;

-- Apps that have a quota keep the windows that they have.
UPDATE app_quota_app SET began_s = floor(extract(epoch FROM bound_time)), began_of = bound_time;

-- The number that the key ends in: SL_COUNTER_FIRST_S less it lies between 1985 and 2017.
CREATE FUNCTION app_quota_first(bound timestamptz) RETURNS bigint LANGUAGE sql STABLE AS
$$ SELECT 600000000 + floor(extract(epoch FROM bound) * 1000)::bigint % 1000000000 $$;

-- Second of the first call, now when there was none; NULL when nobody has that quota any more, or
-- somebody is changing it at this moment. A tenth of a second earlier: the clocks of nodes differ by
-- less, and none may take the call for one before the first window.
CREATE FUNCTION app_quota_begin(gateway text, counter text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    quota  text := split_part(counter, '/', 2);
    caller text := split_part(counter, '/', 3);
    number text := split_part(counter, '@', 2);
    has    app_quota_app;
BEGIN
    SELECT * INTO has FROM app_quota_app b WHERE b.instance_id = gateway AND b.app_id = caller
        AND b.app_quota_id = quota AND app_quota_first(b.bound_time)::text = number;
    IF FOUND AND has.began_of IS DISTINCT FROM has.bound_time THEN
        SELECT * INTO has FROM app_quota_app b WHERE b.instance_id = gateway AND b.app_id = caller
            AND b.app_quota_id = quota AND app_quota_first(b.bound_time)::text = number
            FOR NO KEY UPDATE SKIP LOCKED;
        IF FOUND AND has.began_of IS DISTINCT FROM has.bound_time THEN
            UPDATE app_quota_app b SET began_of = b.bound_time,
                began_s = floor(extract(epoch FROM clock_timestamp()) - 0.1)
                WHERE b.instance_id = gateway AND b.app_id = caller RETURNING * INTO has;
            INSERT INTO runtime_change (gateway_id, kind, key) VALUES (gateway, 'app', caller);
        END IF;
    END IF;
    RETURN has.began_s;
END $$;
