-- Purpose: a page of the audit log, newest first; it ends with the entry that reaches $8 bytes. `found` counts all,
-- without that limit. $1 uuid: only those before it, $2 uuid: this one and later ones, $3 text: action, $4 text: the
-- actor's name, $5 text: the actor's address, $6 text: the target's id, each null for all; $7 integer: how many at
-- most, $8 bigint. Reads only; to be planned for its values. Relies on the primary keys and on audit_entry_action,
-- _actor, _address and _target. OFFSET 0 has each outcome looked up, however few there are.
SELECT
    id, action, actor_kind, actor_name, key_id, session, address, request_id, target_type, target_id, asked, outcome,
    reason, ended_at, done, found
FROM (
    SELECT
        e.id, e.action, e.actor_kind, e.actor_name, e.key_id, e.session, e.address, e.request_id, e.target_type,
        e.target_id, e.asked, o.outcome, o.reason, o.ended_at, o.done, count(*) OVER () AS found,
        sum(octet_length(e.asked) + coalesce(octet_length(o.done), 0)) OVER (ORDER BY e.id DESC)
        - octet_length(e.asked) - coalesce(octet_length(o.done), 0) AS bytes_before
    FROM (
        SELECT
            id, action, actor_kind, actor_name, key_id, session, address, request_id, target_type, target_id,
            details::text AS asked
        FROM taskmill.audit_entry
        WHERE id < $1 AND id >= $2
            AND ($3::text IS NULL OR action = $3)
            AND ($4::text IS NULL OR actor_name = $4)
            AND ($5::text IS NULL OR address = $5)
            AND ($6::text IS NULL OR target_id = $6)
        ORDER BY id DESC
        LIMIT $7
    ) AS e
    LEFT JOIN LATERAL (
        SELECT outcome, reason, at AS ended_at, details::text AS done
        FROM taskmill.audit_outcome
        WHERE entry_id = e.id
        OFFSET 0
    ) AS o ON true
) AS sized
WHERE bytes_before < $8
ORDER BY id DESC
