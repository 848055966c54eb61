-- A worker that is not ready for shards keeps its lease; others give nothing back for it yet.
ALTER TABLE throttle_worker ADD COLUMN takes boolean NOT NULL DEFAULT true;
