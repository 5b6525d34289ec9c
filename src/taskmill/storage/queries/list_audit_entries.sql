-- Purpose: a page of the audit log, newest first. $1 uuid: only those before it, $2 uuid: this one and later ones,
-- $3 text: action, $4 text: the actor's name, $5 text: the actor's address, $6 text: the target's id, each null for
-- all; $7 integer: how many at most. Reads only; to be planned for its values. Relies on the primary keys and on
-- audit_entry_action, _actor, _address and _target. `found` counts those that were read.
SELECT
    e.id, e.action, e.actor_kind, e.actor_name, e.key_id, e.session, e.address, e.request_id, e.target_type,
    e.target_id, e.details::text AS asked, o.outcome, o.reason, o.at AS ended_at, o.details::text AS done,
    count(*) OVER () AS found
FROM (
    SELECT
        id, action, actor_kind, actor_name, key_id, session, address, request_id, target_type, target_id, details
    FROM taskmill.audit_entry
    WHERE id < $1 AND id >= $2
        AND ($3::text IS NULL OR action = $3)
        AND ($4::text IS NULL OR actor_name = $4)
        AND ($5::text IS NULL OR address = $5)
        AND ($6::text IS NULL OR target_id = $6)
    ORDER BY id DESC
    LIMIT $7
) AS e
LEFT JOIN taskmill.audit_outcome AS o ON o.entry_id = e.id
ORDER BY e.id DESC
