-- The fewest nodes that a lost memory of the node may have divided limits among: what it took as its
-- share is not smaller because the list of nodes is longer by now. Null: none was lost, it had no
-- share, or a build before this one saw the loss.
ALTER TABLE throttle_contact ADD COLUMN lost_divides bigint;
