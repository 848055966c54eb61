-- What survives the loss of every memory at once, so that a limit with a long window need not count
-- as spent then.

-- Units of the window that may have been granted by any owner; NULL: not known, so all of them.
-- Written before the grants, and a row stays until its window is over.
ALTER TABLE throttle_usage ADD COLUMN ceiling bigint;

-- By shard, milliseconds since the Unix epoch: up to when the memory took no share that no ceiling
-- covers, and the same of the memories lost before it (the earliest). NULL: since ever.
ALTER TABLE throttle_contact ADD COLUMN vouched bigint[], ADD COLUMN alone bigint[];
