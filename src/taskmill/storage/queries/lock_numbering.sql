-- Purpose: let one transaction at a time number change batches; false while another one does. Also returns the
-- last id that was given before the snapshot of number_changes.
-- Locks: an advisory lock, to the end of the transaction.
SELECT
    pg_try_advisory_xact_lock(hashtext('taskmill.change_batch')) AS is_ours,
    (
        SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM taskmill.change_batch_id_seq
    ) AS last_id
