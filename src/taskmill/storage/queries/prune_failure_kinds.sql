-- Purpose: delete kinds of failures that have not failed for $1 double precision days. Reads all of them: they are few.
DELETE FROM taskmill.failure_kind WHERE last_at < now() - make_interval(secs => $1 * 86400) RETURNING 1
