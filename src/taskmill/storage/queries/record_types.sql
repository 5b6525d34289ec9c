-- Purpose: record types that have neither a contract nor a live worker, as long as there are fewer than $2.
-- $1 text[] types, $2 integer. Runs after lock_types in the same transaction. Locks: the rows of these types.
-- Returns those that are recorded now.
WITH renewed AS (
    UPDATE taskmill.unserved_type SET noted_at = now() WHERE name = ANY($1::text[])
    RETURNING name
),
added AS (
    INSERT INTO taskmill.unserved_type (name)
    SELECT wanted.name
    FROM unnest($1::text[]) AS wanted (name)
    WHERE NOT EXISTS (SELECT FROM taskmill.unserved_type AS u WHERE u.name = wanted.name)
    ORDER BY wanted.name
    LIMIT greatest($2::integer - (SELECT count(*) FROM taskmill.unserved_type), 0)
    RETURNING name
)
SELECT name FROM renewed
UNION ALL
SELECT name FROM added
