-- Purpose: put contracts in force; those never seen before become new versions.
-- $1 text[] types (each once), $2 bytea[] digests, $3 text[] schemas, $4 text[] defaults, $5 text who registers them,
-- $6 integer most versions of a type to retain.
-- Runs after lock_contracts in the same transaction. Locks in order: type_contract, task_type, contract_revision.
-- Relies on the primary keys and type_contract_digest. Returns how many types changed.
WITH wanted AS MATERIALIZED (
    SELECT u.type, u.digest, u.schema, u.defaults
    FROM unnest($1::text[], $2::bytea[], $3::text[], $4::text[]) AS u (type, digest, schema, defaults)
),
known AS MATERIALIZED (
    SELECT c.type, c.version
    FROM wanted AS w
    JOIN taskmill.type_contract AS c ON c.type = w.type AND c.digest = w.digest
),
added AS (
    INSERT INTO taskmill.type_contract (type, version, digest, schema, defaults, registered_by)
    SELECT
        w.type,
        1 + coalesce((SELECT max(c.version) FROM taskmill.type_contract AS c WHERE c.type = w.type), 0),
        w.digest, w.schema::json, w.defaults::json, $5
    FROM wanted AS w
    WHERE NOT EXISTS (SELECT FROM known AS k WHERE k.type = w.type)
    RETURNING type, version
),
pruned AS (
    DELETE FROM taskmill.type_contract AS c
    USING added AS a
    WHERE c.type = a.type AND c.version <= a.version - $6
),
changed AS (
    INSERT INTO taskmill.task_type AS t (name, version)
    SELECT type, version FROM known
    UNION ALL
    SELECT type, version FROM added
    ON CONFLICT (name) DO UPDATE
        SET version = excluded.version, changed_at = now()
        WHERE t.version <> excluded.version
    RETURNING 1
),
revised AS (
    UPDATE taskmill.contract_revision SET revision = revision + 1 WHERE EXISTS (SELECT FROM changed)
)
SELECT count(*)::integer AS types FROM changed
