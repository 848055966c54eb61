-- Runtime entries as nodes and fronts follow them, and the nodes.

ALTER TABLE gateway_revision
    ADD COLUMN membership bigint NOT NULL DEFAULT 1; -- grows with every change of the set of nodes

-- The newest form of every runtime entry; a NULL body is a tombstone, kept for seven days.
CREATE TABLE runtime_entry (
    gateway_id text NOT NULL,
    kind       text NOT NULL,
    key        text NOT NULL,
    revision   bigint NOT NULL,
    min_reader integer NOT NULL DEFAULT 1,
    body       bytea,               -- sealed under the gateway's content key
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (gateway_id, kind, key)
);
CREATE INDEX runtime_entry_revision ON runtime_entry (gateway_id, revision);

-- A node serves one gateway. Its id is its name on the bus, unique in the deployment.
CREATE TABLE node (
    instance_id text NOT NULL CONSTRAINT node_instance_fkey
                REFERENCES instance (id) ON DELETE CASCADE,
    id          text NOT NULL CONSTRAINT node_id_key UNIQUE,
    public_key  text NOT NULL,          -- CURVE, Z85
    created_at  timestamptz NOT NULL DEFAULT now(),
    -- from its reports:
    seen_at     timestamptz,
    epoch       text NOT NULL DEFAULT '',
    revision    bigint NOT NULL DEFAULT 0,
    version     text NOT NULL DEFAULT '',
    addresses   jsonb NOT NULL DEFAULT '[]',
    reason      text NOT NULL DEFAULT '',
    PRIMARY KEY (instance_id, id)
);
