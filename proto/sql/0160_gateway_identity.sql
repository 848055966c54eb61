-- Gateways that have, or had, published APIs of authentication IAM: their nodes follow users, access
-- keys and token keys, which each change of `control` then marks for them, too. Others never get
-- these secrets.

CREATE TABLE gateway_identity (
    instance_id text PRIMARY KEY
                CONSTRAINT gateway_identity_instance_fkey REFERENCES instance (id) ON DELETE CASCADE
);
