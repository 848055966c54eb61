-- The database session of a worker: when it has ended while the server went on, so has the process,
-- and its shards need not wait for the end of its lease. Null: written by a build that only leases.
ALTER TABLE throttle_worker
    ADD COLUMN pid    integer,     -- of its backend
    ADD COLUMN since  timestamptz, -- when that started
    ADD COLUMN server timestamptz; -- when the server did
