-- Purpose: the version of PostgreSQL, and when it started. Reads no table.
SELECT current_setting('server_version') AS version, pg_postmaster_start_time() AS started_at
