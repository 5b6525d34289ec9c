-- Every contract of a task type that was ever registered. `form` is the schema's normal form, by which payloads
-- are checked; `schema` is json, not jsonb: it is given back as it came.
CREATE TABLE taskmill.type_contract (
    type text NOT NULL,
    version integer NOT NULL,
    digest bytea NOT NULL,
    schema json NOT NULL,
    form jsonb NOT NULL,
    defaults json NOT NULL,
    registered_at timestamptz NOT NULL DEFAULT now(),
    registered_by text NOT NULL,
    PRIMARY KEY (type, version)
);

CREATE UNIQUE INDEX type_contract_digest ON taskmill.type_contract (type, digest);

-- The contract that holds: the one that was registered last.
CREATE TABLE taskmill.task_type (
    name text NOT NULL PRIMARY KEY,
    version integer NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);

-- One row. Each change of task_type adds 1, so that entry points need to read nothing else.
CREATE TABLE taskmill.contract_revision (
    place text NOT NULL PRIMARY KEY,
    revision bigint NOT NULL
) WITH (fillfactor = 50);

INSERT INTO taskmill.contract_revision (place, revision) VALUES ('all', 1);
