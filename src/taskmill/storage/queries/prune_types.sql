-- Purpose: delete recorded types that are served by now, or that have no waiting tasks any more and none created
-- lately; and types that nobody has pulled for an hour. $1 integer: most queues and types to read; when more wait,
-- only types that are served are deleted.
-- Runs after lock_types in the same transaction. Locks: the rows of these types, but those that a user's transaction
-- has locked stay. Returns them.
-- A loose index scan over dispatch_bucket, if a type may be deleted at all. IS TRUE: see find_expected_types.
WITH RECURSIVE old AS MATERIALIZED (
    SELECT name FROM taskmill.unserved_type WHERE noted_at < now() - interval '10 minutes'
),
served AS MATERIALIZED (
    SELECT DISTINCT type FROM taskmill.served_type
),
no_longer_pulled AS (
    DELETE FROM taskmill.pulled_type WHERE pulled_at < now() - interval '1 hour'
),
kind AS (
    (
        SELECT queue, type, 1 AS number
        FROM taskmill.dispatch
        WHERE EXISTS (SELECT FROM old)
        ORDER BY queue, type
        LIMIT 1
    )
    UNION ALL
    SELECT next.queue, next.type, kind.number + 1
    FROM kind
    CROSS JOIN LATERAL (
        SELECT d.queue, d.type
        FROM taskmill.dispatch AS d
        WHERE (d.queue, d.type) > (kind.queue, kind.type)
        ORDER BY d.queue, d.type
        LIMIT 1
    ) AS next
    WHERE kind.number < $1::integer
),
unneeded AS (
    SELECT u.name
    FROM taskmill.unserved_type AS u
    WHERE (u.name IN (SELECT type FROM served)) IS TRUE
        OR (
            (u.name IN (SELECT name FROM old)) IS TRUE
            AND (u.name NOT IN (SELECT type FROM kind)) IS TRUE
            AND (SELECT count(*) FROM kind) < $1::integer
        )
    FOR UPDATE SKIP LOCKED
)
DELETE FROM taskmill.unserved_type WHERE name = ANY(ARRAY(SELECT name FROM unneeded))
RETURNING name
