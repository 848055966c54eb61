-- Users, access keys, policies, token keys. Accounts (domain) and projects stand in 0001.
--
-- Every change of these rows touches the pseudo-gateway 'control' in runtime_change; the kinds and
-- keys are those of proto/runtime.md: user/<id>, access_key/<access>, policy/<name>,
-- token_key/<id>, project/<id>, instance/<id>.

CREATE TABLE iam_user (
    id         text PRIMARY KEY,
    domain_id  text NOT NULL CONSTRAINT iam_user_domain_fkey REFERENCES domain (id),
    name       text NOT NULL,
    password   text,                            -- scrypt (common/crypto/password.h); NULL: none
    enabled    boolean NOT NULL DEFAULT true,
    not_before bigint NOT NULL DEFAULT 0,       -- seconds; tokens issued earlier are refused
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT iam_user_name_key UNIQUE (domain_id, name)
);

CREATE TABLE iam_access_key (
    access     text PRIMARY KEY,
    user_id    text NOT NULL CONSTRAINT iam_access_key_user_fkey
               REFERENCES iam_user (id) ON DELETE CASCADE,
    project_id text CONSTRAINT iam_access_key_project_fkey
               REFERENCES project (id),         -- NULL: every project of the user's account
    secret     bytea NOT NULL,                  -- sealed, context access_key:<access>
    enabled    boolean NOT NULL DEFAULT true,
    expires_at bigint NOT NULL DEFAULT 0,       -- seconds; 0: never
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX iam_access_key_user ON iam_access_key (user_id);

CREATE TABLE iam_policy (
    name       text PRIMARY KEY,
    document   jsonb NOT NULL,                  -- IAM policy JSON 1.1
    predefined boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE iam_user_policy (
    user_id text NOT NULL CONSTRAINT iam_user_policy_user_fkey
            REFERENCES iam_user (id) ON DELETE CASCADE,
    policy  text NOT NULL CONSTRAINT iam_user_policy_policy_fkey
            REFERENCES iam_policy (name),
    PRIMARY KEY (user_id, policy)
);
CREATE INDEX iam_user_policy_policy ON iam_user_policy (policy);

-- Keys that sign tokens. Only the newest that is not retired signs; retired ones verify until the
-- last token they signed has expired.
CREATE TABLE iam_token_key (
    id          text PRIMARY KEY,
    public_key  text NOT NULL,                  -- Ed25519, hex
    private_key bytea NOT NULL,                 -- sealed, context token_key:<id>
    created_at  timestamptz NOT NULL DEFAULT now(),
    retired_at  timestamptz
);

-- Failed logins, by a keyed hash of account and user name, so that names that do not exist are
-- treated alike and are not stored.
CREATE TABLE iam_login (
    account       text PRIMARY KEY,
    failures      integer NOT NULL,
    blocked_until timestamptz NOT NULL,
    at            timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX iam_login_at ON iam_login (at);

INSERT INTO iam_policy (name, predefined, document) VALUES
    ('APIG FullAccess', true,
     '{"Version": "1.1", "Statement": [{"Effect": "Allow",
       "Action": ["apig:*:*", "sluice:*:*"]}]}'),
    ('APIG ReadOnlyAccess', true,
     '{"Version": "1.1", "Statement": [{"Effect": "Allow",
       "Action": ["apig:*:get*", "apig:*:list*", "sluice:*:get*", "sluice:*:list*"]}]}');

INSERT INTO runtime_change (gateway_id, kind, key) VALUES
    ('control', 'policy', 'APIG FullAccess'),
    ('control', 'policy', 'APIG ReadOnlyAccess');
