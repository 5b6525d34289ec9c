-- Purpose: whether a change batch waits for its position, and since when this server has run. $1 bigint: only
-- batches with ids above. Reads only; relies on change_batch_unnumbered.
SELECT
    EXISTS (SELECT FROM taskmill.change_batch WHERE position IS NULL AND id > $1) AS is_there,
    pg_postmaster_start_time() AS server_since
