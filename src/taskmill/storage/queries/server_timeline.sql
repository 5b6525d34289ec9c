-- Purpose: which cluster this primary belongs to, and its timeline, in eight hexadecimal digits: each promotion of a
-- standby begins the next one. Reads only; an error on a standby, which writes none.
SELECT
    (SELECT system_identifier FROM pg_control_system()) AS cluster,
    left(pg_walfile_name(pg_current_wal_lsn()), 8) AS timeline
