-- Purpose: which of these settings, that the session asked for when it connected, are not as it asked.
-- $1 text[] their names. Reads only.
SELECT name
FROM pg_settings
WHERE name = ANY ($1::text[]) AND source <> 'client'
ORDER BY name
