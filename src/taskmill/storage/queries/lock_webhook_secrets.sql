-- Purpose: webhooks with secrets that are to be stored in another form. $1 uuid: only those after it, $2 text: what
-- secrets of that form begin with, $3 integer: most at once.
-- Locks: their rows, in order of their ids. Relies on the primary key; there are a thousand webhooks at most.
SELECT id, secrets
FROM taskmill.webhook
WHERE id > $1
    AND EXISTS (SELECT FROM unnest(secrets) AS one (secret) WHERE NOT starts_with(one.secret, $2))
ORDER BY id
LIMIT $3
FOR NO KEY UPDATE
