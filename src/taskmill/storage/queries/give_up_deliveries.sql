-- Purpose: give up deliveries past their deadline, tried or not. $1 integer: most at once, $2 text[]: ids of the keys
-- that this process decrypts secrets with, $3 boolean: callbacks need the key of the database, $4 double precision:
-- seconds. Those whose secret is encrypted with another key wait for it: their deadline is moved by $4.
-- Locks: their rows, skipping what others hold. Relies on webhook_delivery_give_up, and on the primary key of webhook.
WITH late AS MATERIALIZED (
    SELECT id, webhook_id
    FROM taskmill.webhook_delivery
    WHERE state = 'pending' AND give_up_at < now()
    ORDER BY give_up_at
    LIMIT $1
    FOR UPDATE SKIP LOCKED
),
secret_of AS MATERIALIZED (
    SELECT late.id, coalesce(w.secrets[1], k.secret) AS secret
    FROM late
    LEFT JOIN taskmill.webhook AS w ON w.id = late.webhook_id
    LEFT JOIN taskmill.callback_key AS k ON $3::boolean AND late.webhook_id IS NULL
),
checked AS MATERIALIZED (
    SELECT id, coalesce(secret LIKE 'enc:v1:%' AND split_part(secret, ':', 3) <> ALL($2::text[]), false) AS waits
    FROM secret_of
)
UPDATE taskmill.webhook_delivery AS d
SET state = CASE WHEN checked.waits THEN d.state ELSE 'failed' END,
    finished_at = CASE WHEN checked.waits THEN d.finished_at ELSE now() END,
    give_up_at = CASE WHEN checked.waits THEN now() + make_interval(secs => $4) ELSE d.give_up_at END,
    trouble = coalesce(d.trouble, CASE WHEN NOT checked.waits THEN 'its time was over before it was tried' END)
FROM checked
WHERE d.id = checked.id
RETURNING d.state = 'failed' AS is_given_up, d.webhook_id IS NULL AS is_callback
