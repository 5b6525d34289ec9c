-- Purpose: when a queue was paused and resumed, the latest first. $1 uuid, $2 uuid: only entries of the audit log from
-- the first on and before the second, $3 text: the queue; $4 integer: how many to look at.
-- However often other queues are paused, this one's changes are found. Reads only; relies on audit_entry_target, in its
-- order, and on the primary key of audit_outcome. With an equality for the target the order would be that of the
-- primary key as well, which reads all entries.
SELECT asked.action, asked.target_id AS queue, o.at
FROM (
    SELECT id, action, target_id
    FROM taskmill.audit_entry
    WHERE target_id >= $3 AND target_id <= $3 AND id >= $1 AND id < $2
        AND action IN ('queue.pause', 'queue.resume')
    ORDER BY target_id DESC, id DESC
    LIMIT $4
) AS asked
CROSS JOIN LATERAL (
    SELECT at FROM taskmill.audit_outcome WHERE entry_id = asked.id AND outcome = 'done' OFFSET 0
) AS o
ORDER BY asked.id DESC
