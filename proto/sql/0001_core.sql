-- The tables that everything hangs on: accounts, projects, gateways, quotas, audit, revisions.
--
-- Tenancy is structural: every resource table carries instance_id and refers to others by
-- (instance_id, id). Ids are 32 lower-case hex digits unless a column says otherwise.

CREATE EXTENSION IF NOT EXISTS pg_trgm;

CREATE TABLE domain (
    id         text PRIMARY KEY,
    name       text NOT NULL CONSTRAINT domain_name_key UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE project (
    id         text PRIMARY KEY,
    domain_id  text NOT NULL CONSTRAINT project_domain_fkey REFERENCES domain (id),
    name       text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT project_name_key UNIQUE (domain_id, name)
);

-- A gateway ("instance" in the API's words).
CREATE TABLE instance (
    id          text PRIMARY KEY,
    project_id  text NOT NULL CONSTRAINT instance_project_fkey REFERENCES project (id),
    name        text NOT NULL,
    spec        text NOT NULL DEFAULT 'BASIC',
    description text NOT NULL DEFAULT '',
    -- suffix of debugging domains: <group_id>.<suffix>
    domain_suffix text NOT NULL,
    -- addresses that lead to the group DEFAULT
    addresses   text[] NOT NULL DEFAULT '{}',
    created_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT instance_name_key UNIQUE (project_id, name)
);

-- Settings of a gateway that differ from their defaults (limits.md of the registry lists them):
-- quotas by resource, domain_call_limit, api_default_limit, request_body_size, restrict_cidrs…
CREATE TABLE instance_setting (
    instance_id text NOT NULL CONSTRAINT instance_setting_instance_fkey
                REFERENCES instance (id) ON DELETE CASCADE,
    name        text NOT NULL,
    value       text NOT NULL,
    PRIMARY KEY (instance_id, name)
);

-- What a gateway (or a resource in it: scope = its id, else '') has used of a quota.
-- Taking one: UPDATE … SET used = used + 1 WHERE … AND used < "limit", last before commit.
CREATE TABLE quota_usage (
    instance_id text NOT NULL CONSTRAINT quota_usage_instance_fkey
                REFERENCES instance (id) ON DELETE CASCADE,
    quota       text NOT NULL,
    scope       text NOT NULL DEFAULT '',
    used        integer NOT NULL DEFAULT 0 CHECK (used >= 0),
    "limit"     integer NOT NULL,
    PRIMARY KEY (instance_id, quota, scope)
);

-- Every mutation, in its transaction; also what makes a command idempotent.
CREATE TABLE audit (
    command_id  text PRIMARY KEY,
    at          timestamptz NOT NULL DEFAULT now(),
    request_id  text NOT NULL,
    command     text NOT NULL,
    actor       text NOT NULL,      -- user id, or the peer's name for sluice-admin
    project_id  text NOT NULL,
    instance_id text NOT NULL,
    object_id   text NOT NULL DEFAULT '',
    before      jsonb,              -- columns, secrets masked
    after       jsonb,
    status      integer NOT NULL,   -- the outcome, answered again to a repeat:
    reply       bytea               -- msgpack of the reply, sealed
);
CREATE INDEX audit_at ON audit (at);

-- Dirty keys: who changes something appends (gateway, kind, key) in its transaction. Append only,
-- no uniqueness: a claimed row must never swallow a later change.
CREATE TABLE runtime_change (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gateway_id text NOT NULL,
    kind       text NOT NULL,
    key        text NOT NULL,
    failures   integer NOT NULL DEFAULT 0,
    at         timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX runtime_change_gateway ON runtime_change (gateway_id, id);

-- One row a gateway, and one for 'control'. Nothing references it; publishers lock it.
CREATE TABLE gateway_revision (
    gateway_id text PRIMARY KEY,
    revision   bigint NOT NULL DEFAULT 0,
    horizon    bigint NOT NULL DEFAULT 0, -- below it, `since` answers with a full set
    content_key bytea NOT NULL            -- sealed under the deployment's key, context content_key:<id>
);
