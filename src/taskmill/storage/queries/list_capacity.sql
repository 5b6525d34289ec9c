-- Purpose: what live workers serve, without those that take no tasks. $1 boolean: also `remote` ones, which pull
-- over HTTP and have a row for each claim.
-- Reads only; relies on lease_open.
SELECT worker, queues, types, slots, remote FROM taskmill.lease
WHERE closed_at IS NULL AND expires_at > clock_timestamp() AND request IS NULL AND ($1 OR NOT remote)
