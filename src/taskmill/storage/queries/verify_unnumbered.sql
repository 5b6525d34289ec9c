-- Purpose: how many change batches have no position yet, and for how many seconds the first has waited. $1
-- timestamptz: as of when, null for now.
-- Reads only; relies on change_batch_unnumbered.
SELECT
    count(*) AS batches,
    coalesce(extract(epoch FROM coalesce($1::timestamptz, now()) - min(at)), 0)::double precision AS waited_s
FROM taskmill.change_batch
WHERE position IS NULL
