-- Purpose: stamps that show whether tasks have changed. $1 uuid[]. Reads only; relies on the primary keys: only
-- the last log line of each task is read.
SELECT
    t.id, coalesce(r.version, t.version) AS version, coalesce(r.claim_no, t.claim_no) AS claim_no,
    coalesce(p.serial, 0) AS progress, l.claim_no AS line_claim, l.seq AS line
FROM taskmill.task AS t
LEFT JOIN LATERAL (
    SELECT version, claim_no FROM taskmill.running
    WHERE task_id = CASE WHEN t.final_status IS NULL THEN t.id END
    LIMIT 1
) AS r ON true
LEFT JOIN LATERAL (
    SELECT serial FROM taskmill.task_progress
    WHERE task_id = t.id AND claim_no = coalesce(r.claim_no, t.claim_no)
    LIMIT 1
) AS p ON true
LEFT JOIN LATERAL (
    SELECT claim_no, seq FROM taskmill.task_log
    WHERE task_id = t.id ORDER BY claim_no DESC, seq DESC LIMIT 1
) AS l ON true
WHERE t.id = ANY($1::uuid[])
