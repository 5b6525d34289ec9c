-- Purpose: the contracts in force, if they have changed since a revision. $1 bigint: the revision that is known.
-- Reads only: one row when nothing has changed. Relies on the primary keys of task_type and type_contract.
SELECT r.revision, t.name, t.version, c.schema::text AS schema, c.defaults::text AS defaults
FROM taskmill.contract_revision AS r
LEFT JOIN taskmill.task_type AS t ON r.revision <> $1
LEFT JOIN taskmill.type_contract AS c ON c.type = t.name AND c.version = t.version
ORDER BY t.name
