-- Temporary access keys: a key that also needs a security token, and always ends.

ALTER TABLE iam_access_key
    ADD COLUMN security_token bytea,            -- sealed, context security_token:<access>; NULL: none
    ADD CONSTRAINT iam_access_key_temporary_check
        CHECK (security_token IS NULL OR expires_at > 0);
CREATE INDEX iam_access_key_ended ON iam_access_key (expires_at) WHERE security_token IS NOT NULL;
