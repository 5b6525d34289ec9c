-- Purpose: record types that nobody serves, as long as there are fewer than $2. $1 text[] types, $2 integer, $3
-- text: the name of the API key whose tasks have them, or null, $4 integer: most of them that it may have recorded
-- first, or null.
-- Runs after lock_types in the same transaction. Locks: the rows of these types, in order. Returns those that are
-- recorded now, or are being recorded by a user's transaction that is still open: that holds the type's own lock
-- (taskmill.ensure_type), and nobody waits for it.
WITH chosen AS MATERIALIZED (
    SELECT name FROM taskmill.unserved_type WHERE name = ANY($1::text[])
    UNION ALL
    (
        SELECT wanted.name
        FROM unnest($1::text[]) AS wanted (name)
        WHERE NOT EXISTS (SELECT FROM taskmill.unserved_type AS u WHERE u.name = wanted.name)
        ORDER BY wanted.name
        LIMIT greatest(least(
            $2::integer - (SELECT count(*) FROM taskmill.unserved_type),
            $4::integer - (SELECT count(*) FROM taskmill.unserved_type WHERE owner = $3::text)
        ), 0)
    )
),
recorded AS (
    INSERT INTO taskmill.unserved_type (name, owner)
    SELECT name, $3::text FROM chosen WHERE pg_try_advisory_xact_lock(hashtext('taskmill.unserved_type'), hashtext(name))
    ON CONFLICT (name) DO UPDATE SET noted_at = now()
)
SELECT name FROM chosen
