-- Purpose: for how long each live worker's lease is renewed, which is a setting of its process. $1 integer: most.
-- Reads only; relies on lease_open.
SELECT worker, extract(epoch FROM expires_at - renewed_at)::double precision AS ttl_s
FROM taskmill.lease
WHERE closed_at IS NULL AND NOT remote AND expires_at > clock_timestamp()
LIMIT $1
