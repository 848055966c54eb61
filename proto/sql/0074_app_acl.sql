-- From which addresses an app may call; no row: from anywhere.

CREATE TABLE app_acl (
    instance_id text NOT NULL CONSTRAINT app_acl_instance_fkey
                REFERENCES instance (id) ON DELETE CASCADE,
    app_id      text NOT NULL,
    acl_type    text NOT NULL,          -- PERMIT or DENY
    acl_values  jsonb NOT NULL,         -- array of ranges, at least one
    PRIMARY KEY (instance_id, app_id),
    CONSTRAINT app_acl_app_fkey FOREIGN KEY (instance_id, app_id)
        REFERENCES app (instance_id, id) ON DELETE CASCADE
);
