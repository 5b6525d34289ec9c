-- Purpose: delete notes about tasks that are older than all weeks and all idempotency keys. $1 timestamptz: the first
-- moment of the oldest week. A key holds for 380 days at most.
-- Reads all: there are few rows.
DELETE FROM taskmill.pruned_queue
WHERE created_before <= least($1, now() - interval '381 days')
