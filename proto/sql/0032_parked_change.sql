-- The few keys that are parked, found without looking through those that wait.
CREATE INDEX runtime_change_parked ON runtime_change (gateway_id, kind, key) WHERE failures >= 3;
