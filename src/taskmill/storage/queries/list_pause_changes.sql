-- Purpose: when queues were paused and resumed, the latest first. $1 uuid, $2 uuid: only entries of the audit log from
-- the first on and before the second, $3 text[]: only these queues, null for all; $4 integer: how many of each action
-- to look at. Reads only; relies on audit_entry_action, in its order, and on the primary key of audit_outcome. With an
-- equality for the action, a constant, the order would be that of the primary key as well, which reads all actions.
SELECT asked.action, asked.target_id AS queue, o.at
FROM (
    (
        SELECT id, action, target_id
        FROM taskmill.audit_entry
        WHERE action >= 'queue.pause' AND action <= 'queue.pause' AND id >= $1 AND id < $2
        ORDER BY action DESC, id DESC
        LIMIT $4
    )
    UNION ALL
    (
        SELECT id, action, target_id
        FROM taskmill.audit_entry
        WHERE action >= 'queue.resume' AND action <= 'queue.resume' AND id >= $1 AND id < $2
        ORDER BY action DESC, id DESC
        LIMIT $4
    )
) AS asked
CROSS JOIN LATERAL (
    SELECT at FROM taskmill.audit_outcome WHERE entry_id = asked.id AND outcome = 'done' OFFSET 0
) AS o
WHERE $3::text[] IS NULL OR asked.target_id = ANY($3::text[])
ORDER BY asked.id DESC
