-- Purpose: what is stored of some notices, and since when none has counted. $1 uuid[] ids; $2 double precision: after
-- how many seconds without a record it is not known how things are.
-- Returns a row without an id, which has `well_since`. Reads only; relies on the primary keys.
SELECT
    NULL::uuid AS id, NULL::timestamptz AS first_at, NULL AS mark, NULL AS marked_by, NULL::timestamptz AS marked_at,
    NULL::timestamptz AS marked_until, NULL AS note,
    (
        SELECT greatest(recorded_since, active_at) FROM taskmill.attention
        WHERE recorded_at > now() - make_interval(secs => $2)
    ) AS well_since
UNION ALL
SELECT
    id, first_at, CASE WHEN coalesce(marked_until > now(), true) THEN mark END, marked_by, marked_at, marked_until, note,
    NULL
FROM taskmill.notice
WHERE id = ANY($1::uuid[]) AND last_at > now() - make_interval(secs => $2)
