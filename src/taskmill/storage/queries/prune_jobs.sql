-- Purpose: delete jobs that are over for so many days. $1 double precision days, $2 integer limit. Relies on job_ended.
DELETE FROM taskmill.job
WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM taskmill.job
    WHERE state <> 'running' AND ended_at < now() - make_interval(secs => $1::double precision * 86400)
    ORDER BY ended_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
))
RETURNING 1
