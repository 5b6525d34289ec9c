-- Purpose: record which notices there are now. $1 uuid[] ids, $2 text[] kinds, $3 text[] subjects, $4 text[] queues
-- (null: the whole service), $5 boolean: whether one of them counts, $6 double precision: after how many seconds
-- without a record a notice has ended, and begins anew; $7 double precision: for how long ended ones are kept.
-- Locks: attention, then notices in the order of their ids. Relies on the primary keys; notices are few.
WITH recorded AS (
    INSERT INTO taskmill.attention AS a (active_at) VALUES (CASE WHEN $5 THEN now() END)
    ON CONFLICT (is_only) DO UPDATE SET
        recorded_since = CASE
            WHEN a.recorded_at < now() - make_interval(secs => $6) THEN now() ELSE a.recorded_since
        END,
        recorded_at = now(),
        active_at = coalesce(excluded.active_at, a.active_at)
),
stored AS (
    INSERT INTO taskmill.notice AS n (id, kind, subject, queue)
    SELECT id, kind, subject, queue
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS found (id, kind, subject, queue)
    ORDER BY id
    ON CONFLICT (id) DO UPDATE SET
        first_at = CASE WHEN n.last_at < now() - make_interval(secs => $6) THEN now() ELSE n.first_at END,
        -- What was acknowledged has ended meanwhile, and is new.
        mark = CASE
            WHEN n.mark = 'acknowledged' AND n.last_at < now() - make_interval(secs => $6) THEN NULL ELSE n.mark
        END,
        last_at = now()
)
DELETE FROM taskmill.notice
WHERE last_at < now() - make_interval(secs => $7) AND id <> ALL($1::uuid[])
