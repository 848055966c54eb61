-- Calls of 3.5.8 that wait for a node or for its answer. Each has a runtime entry of its own while it
-- lasts, in an environment whose name is a secret of that call.

CREATE TABLE api_debug (
    instance_id text NOT NULL CONSTRAINT api_debug_instance_fkey
                REFERENCES instance (id) ON DELETE CASCADE,
    id          text NOT NULL,          -- key of the entry
    api_id      text NOT NULL,
    publish_id  text NOT NULL,          -- that apps are authorised for; unpublished: the id
    env_id      text NOT NULL,          -- whose variables hold
    env_name    text NOT NULL,          -- "debug/" and 32 random hex digits
    is_open     boolean NOT NULL,       -- no authentication
    definition  jsonb NOT NULL,
    request     text NOT NULL,          -- as it goes out
    shown       text NOT NULL,          -- as it is shown
    tls         boolean NOT NULL,
    node_id     text,                   -- who makes the call
    response    text,                   -- as it is shown; NULL: none yet
    latency_ms  integer,
    expires_at  timestamptz NOT NULL,
    PRIMARY KEY (instance_id, id),
    CONSTRAINT api_debug_api_fkey FOREIGN KEY (instance_id, api_id)
        REFERENCES api (instance_id, id) ON DELETE CASCADE
);
CREATE INDEX api_debug_api ON api_debug (instance_id, api_id);
