-- Purpose: who keeps dead rows alive: sessions, replication slots and prepared transactions with a snapshot.
-- $1 integer: most of them.
-- Reads no table. PostgreSQL shows the snapshots of other logins' sessions only to members of pg_read_all_stats.
WITH holder AS (
    SELECT
        'session' AS kind, pid::text AS name, usename::text AS login, application_name AS application, state,
        extract(epoch FROM clock_timestamp() - xact_start)::double precision AS held_s,
        age(backend_xmin)::bigint AS xmin_age
    FROM pg_stat_activity
    WHERE backend_xmin IS NOT NULL
        AND pid <> pg_backend_pid()
        AND (datname = current_database() OR datname IS NULL)
        AND backend_type <> 'autovacuum worker'
    UNION ALL
    SELECT 'slot', slot_name::text, NULL, NULL, CASE WHEN active THEN 'active' ELSE 'inactive' END, NULL, age(xmin)
    FROM pg_replication_slots
    WHERE xmin IS NOT NULL
    UNION ALL
    SELECT
        'prepared', gid, owner::text, NULL, NULL, extract(epoch FROM clock_timestamp() - prepared), age(transaction)
    FROM pg_prepared_xacts
    WHERE database = current_database()
)
SELECT kind, name, login, application, state, held_s, xmin_age
FROM holder
ORDER BY xmin_age DESC, held_s DESC NULLS LAST, name
LIMIT $1
