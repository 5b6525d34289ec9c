-- Purpose: some of PostgreSQL's settings, as they are for this session. $1 text[]: which. Reads no table.
-- Those that this login may not see are missing.
SELECT name, setting FROM pg_settings WHERE name = ANY ($1::text[])
