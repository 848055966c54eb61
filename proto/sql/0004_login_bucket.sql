-- Failed logins are counted by (account, address) in iam_login; and, unless the account has logged in
-- from that address lately, by account and by address in leaking buckets.

ALTER TABLE iam_login ADD COLUMN trusted_until timestamptz; -- after a success; NULL: none

CREATE TABLE iam_login_bucket (
    key   text PRIMARY KEY,                     -- keyed hash of an account or an address
    level double precision NOT NULL,            -- failures that have not leaked away yet
    at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX iam_login_bucket_at ON iam_login_bucket (at);
