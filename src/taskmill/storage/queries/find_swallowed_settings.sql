-- Purpose: which settings of this session are not as it requested when it connected. $1 text[] their names. Reads
-- only.
SELECT name
FROM pg_settings
WHERE name = ANY ($1::text[]) AND source <> 'client'
ORDER BY name
