-- Purpose: metrics of the work left for maintenance, and of what keeps dead rows alive.
-- $1 integer: most change batches to count.
-- Reads only. Relies on change_batch_unnumbered; leases and sessions are few. PostgreSQL shows the snapshots of
-- other logins' sessions only to members of pg_read_all_stats. VACUUM's own snapshots hold nothing back.
WITH snapshot AS MATERIALIZED (
    SELECT age(backend_xmin) AS age, clock_timestamp() - xact_start AS held
    FROM pg_stat_activity
    WHERE backend_xmin IS NOT NULL
        AND pid <> pg_backend_pid()
        AND (datname = current_database() OR datname IS NULL)
        AND backend_type <> 'autovacuum worker'
    UNION ALL
    SELECT age(xmin), NULL FROM pg_replication_slots WHERE xmin IS NOT NULL
    UNION ALL
    SELECT age(transaction), clock_timestamp() - prepared
    FROM pg_prepared_xacts
    WHERE database = current_database()
)
SELECT
    (
        SELECT count(*) FROM taskmill.lease
        WHERE closed_at IS NULL AND expires_at < clock_timestamp()
    )::integer AS overdue_leases,
    (
        SELECT count(*)
        FROM (SELECT FROM taskmill.change_batch WHERE position IS NULL LIMIT $1) AS unnumbered
    )::integer AS unnumbered,
    (
        SELECT greatest(extract(epoch FROM clock_timestamp() - at), 0)
        FROM taskmill.change_batch
        WHERE position IS NULL
        ORDER BY id
        LIMIT 1
    )::double precision AS unnumbered_s,
    (SELECT greatest(extract(epoch FROM max(held)), 0) FROM snapshot)::double precision AS snapshot_s,
    (SELECT max(age) FROM snapshot)::bigint AS xmin_age
