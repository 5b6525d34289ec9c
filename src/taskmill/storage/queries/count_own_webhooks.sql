-- Purpose: how many webhooks an API key has. $1 text: the name of the key. Reads a table of few rows.
SELECT count(*) FROM taskmill.webhook WHERE owner = $1 AND deleted_at IS NULL
