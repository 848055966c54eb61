-- Accounting of limits: who owns which shard of the keys, and what must be known of nodes by
-- whoever owns it next. services/throttle/README.md explains the protocol that rests on it.

-- Live processes. A lease is renewed several times a second; only its end is ever compared, with
-- this server's clock.
CREATE TABLE throttle_worker (
    worker text PRIMARY KEY,
    lease  timestamptz NOT NULL
);

-- A shard's epoch grows with every change of owner; nodes refuse older ones. Free without an owner,
-- or when the owner's lease is over.
CREATE TABLE throttle_shard (
    shard integer PRIMARY KEY CONSTRAINT throttle_shard_range CHECK (shard BETWEEN 0 AND 1023),
    owner text,
    epoch bigint NOT NULL DEFAULT 0
);
INSERT INTO throttle_shard (shard) SELECT generate_series(0, 1023);

-- What a node may hold that its next owner has not seen. Times are milliseconds since the Unix
-- epoch. Written before the first unit is granted that relies on it.
CREATE TABLE throttle_contact (
    gateway_id    text NOT NULL,
    node_id       text NOT NULL,
    boot          text NOT NULL,             -- the memory that the row speaks of
    until_ms      bigint NOT NULL,           -- owners may grant to the node until then
    lost_until_ms bigint NOT NULL DEFAULT 0, -- an earlier memory was granted units until then
    divides       bigint NOT NULL DEFAULT 0, -- nodes that it may divide limits among, 0 none
    PRIMARY KEY (gateway_id, node_id)
);

-- Usage of limits with windows of a minute and more: the newest window of a key.
CREATE TABLE throttle_usage (
    gateway_id text NOT NULL,
    key        text NOT NULL,
    window_s   bigint NOT NULL,
    window_no  bigint NOT NULL,
    used       bigint NOT NULL,
    "limit"    bigint NOT NULL,
    at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (gateway_id, key)
);
CREATE INDEX throttle_usage_at ON throttle_usage (at);
