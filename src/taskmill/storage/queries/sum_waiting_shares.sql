-- Purpose: how many tasks of an API key wait for their first attempt, and the bytes of their texts.
-- $1 text: the name of the key; $2 integer: most tasks to count. Only those that were created while the key had a
-- quota of them have an owner. Reads only; relies on dispatch_owner.
SELECT count(*) AS tasks, coalesce(sum(own.bytes), 0)::bigint AS bytes
FROM (SELECT bytes FROM taskmill.dispatch WHERE owner = $1 LIMIT $2) AS own
