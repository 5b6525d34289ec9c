-- Purpose: begin a session of the dashboard. $1 bytea hash of its token, $2 text id of the API key, $3 interval: how
-- long it may be idle. Returns its id.
INSERT INTO taskmill.session (token_hash, key_id, ends_at)
VALUES ($1, $2, now() + $3::interval)
RETURNING id
