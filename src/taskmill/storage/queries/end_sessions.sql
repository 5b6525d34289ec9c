-- Purpose: end sessions. $1 uuid[] ids, $2 text id of the API key that they have to be of, null for any. Returns the ids
-- of those that there were. Locks: their rows. Relies on the primary key.
DELETE FROM taskmill.session
WHERE id = ANY($1::uuid[]) AND ($2::text IS NULL OR key_id = $2)
RETURNING id
