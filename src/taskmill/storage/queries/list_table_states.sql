-- Purpose: how many rows, dead rows and pages tables have, and when they were vacuumed. $1 text[]: the tables.
-- Reads the catalogue and PostgreSQL's counters only: the numbers are estimates, and no table is locked.
SELECT
    c.relname::text AS name,
    s.n_live_tup AS live,
    s.n_dead_tup AS dead,
    c.reltuples::bigint AS rows,
    c.relpages + coalesce((
        SELECT sum(i.relpages)
        FROM pg_index AS x INNER JOIN pg_class AS i ON i.oid = x.indexrelid
        WHERE x.indrelid = c.oid
    ), 0)::bigint AS pages,
    extract(epoch FROM clock_timestamp() - greatest(s.last_vacuum, s.last_autovacuum))::double precision
        AS vacuumed_s,
    extract(
        epoch FROM clock_timestamp() - greatest(s.last_vacuum, s.last_autovacuum, pg_postmaster_start_time())
    )::double precision AS unvacuumed_s,
    NOT EXISTS (
        SELECT FROM pg_options_to_table(c.reloptions)
        WHERE option_name = 'autovacuum_enabled' AND NOT option_value::boolean
    ) AS has_autovacuum
FROM pg_class AS c INNER JOIN pg_stat_user_tables AS s ON s.relid = c.oid
WHERE c.relnamespace = 'taskmill'::regnamespace AND c.relname = ANY ($1::text[])
ORDER BY c.relname
