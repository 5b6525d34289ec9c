-- Purpose: how many change batches have no position yet, and for how many seconds the first has waited.
-- Reads only; relies on change_batch_unnumbered.
SELECT
    count(*) AS batches,
    coalesce(extract(epoch FROM now() - min(at)), 0)::double precision AS waited_s
FROM taskmill.change_batch
WHERE position IS NULL
