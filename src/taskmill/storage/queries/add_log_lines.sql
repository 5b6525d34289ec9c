-- Purpose: store lines that a worker sends over HTTP for a claim that it runs, if the fence holds, up to the
-- limits of a claim.
-- $1 uuid task, $2 uuid lease, $3 integer claim; arrays, one element a line: $4 integer[] numbers, $5 smallint[]
-- levels, $6 text[] messages, $7 text[] fields as JSON or empty for nulls only; $8 integer most lines of a claim,
-- $9 bigint most bytes of them.
-- Locks: none but its own new rows.
-- Relies on: the primary keys of running and task_log; a claim has few lines. The same lines again change nothing.
-- Two requests at once may both take the last bytes, but never more lines than allowed.
-- Returns: whether the fence held, and how many lines exceeded the limits.
WITH fenced AS MATERIALIZED (
    SELECT task_id FROM taskmill.running WHERE task_id = $1 AND lease_id = $2 AND claim_no = $3
),
existing AS MATERIALIZED (
    SELECT seq, octet_length(message) + coalesce(octet_length(fields::text), 0) AS size
    FROM taskmill.task_log
    WHERE task_id = $1 AND claim_no = $3
),
fresh AS MATERIALIZED (
    SELECT
        i.seq, i.level, i.message, i.fields,
        i.seq <= $8 AND
        (SELECT coalesce(sum(size), 0) FROM existing)
            + sum(octet_length(i.message) + coalesce(octet_length(i.fields), 0)) OVER (ORDER BY i.seq) <= $9 AS fits
    FROM unnest($4::integer[], $5::smallint[], $6::text[], $7::text[]) AS i (seq, level, message, fields)
    WHERE NOT EXISTS (SELECT FROM existing WHERE existing.seq = i.seq)
),
stored AS (
    INSERT INTO taskmill.task_log (task_id, claim_no, seq, at, level, message, fields)
    SELECT $1, $3, fresh.seq, now(), fresh.level, fresh.message, fresh.fields::json
    FROM fresh
    WHERE fresh.fits AND EXISTS (SELECT FROM fenced)
    ON CONFLICT DO NOTHING
)
SELECT
    EXISTS (SELECT FROM fenced) AS held,
    (SELECT count(*) FILTER (WHERE NOT fits) FROM fresh)::integer AS left_out
