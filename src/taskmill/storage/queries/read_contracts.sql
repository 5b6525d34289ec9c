-- Purpose: the contracts in force, if they have changed since a revision; and the last contracts of types that have
-- none in force, if they mark something as secret: their tasks are still there.
-- $1 bigint: the revision that is known; $2 text: what the schema of such a contract has in it.
-- Reads only: one row when nothing has changed. Relies on the primary keys of task_type and type_contract. DISTINCT ON
-- keeps PostgreSQL from searching in the schemas of all versions, or when nothing has changed.
SELECT
    r.revision, t.name, t.version, c.schema::text AS schema, c.defaults::text AS defaults, true AS is_in_force
FROM taskmill.contract_revision AS r
LEFT JOIN taskmill.task_type AS t ON r.revision <> $1
LEFT JOIN taskmill.type_contract AS c ON c.type = t.name AND c.version = t.version
UNION ALL
SELECT r.revision, dropped.type, dropped.version, dropped.schema::text, dropped.defaults::text, false
FROM taskmill.contract_revision AS r
CROSS JOIN LATERAL (
    SELECT DISTINCT ON (c.type) c.type, c.version, c.schema, c.defaults
    FROM taskmill.type_contract AS c
    WHERE r.revision <> $1 AND NOT EXISTS (SELECT FROM taskmill.task_type AS t WHERE t.name = c.type)
    ORDER BY c.type, c.version DESC
) AS dropped
WHERE strpos(dropped.schema::text, $2) > 0
ORDER BY name
