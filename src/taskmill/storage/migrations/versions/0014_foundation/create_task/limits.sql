-- One row: the limits that the settings of the API have for requests, so that `create_task` has the same.
CREATE TABLE taskmill.door_limit (
    place text NOT NULL PRIMARY KEY,
    queues integer NOT NULL,
    labels integer NOT NULL,
    idempotency_key_chars integer NOT NULL,
    payload_bytes integer NOT NULL,
    key_validity interval NOT NULL
);

INSERT INTO taskmill.door_limit VALUES ('all', 1000, 64, 255, 1048576, interval '7 days');
