-- Purpose: whether a lease of a worker that pulls over HTTP exists or existed lately, and why it ended. $1 uuid.
SELECT closed_at IS NOT NULL AS is_closed, close_reason FROM taskmill.lease WHERE id = $1 AND remote
