-- Purpose: the sessions of this database that wait for a lock, the longest first, and whom they wait for.
-- $1 integer: most of them; $2 double precision: the least wait, in s.
-- Reads no table. Locks: none, but pg_blocking_pids stops PostgreSQL's lock manager for a moment, for each of them.
WITH waiting AS MATERIALIZED (
    SELECT l.pid, l.locktype, l.relation, l.waitstart, a.application_name
    FROM pg_locks AS l INNER JOIN pg_stat_activity AS a ON a.pid = l.pid
    WHERE NOT l.granted
        AND a.datname = current_database()
        AND l.waitstart <= clock_timestamp() - make_interval(secs => $2)
    ORDER BY l.waitstart
    LIMIT $1
)
SELECT
    pid,
    coalesce('table ' || relation::regclass::text, locktype) AS "on",
    extract(epoch FROM clock_timestamp() - waitstart)::double precision AS waited_s,
    application_name AS application,
    pg_blocking_pids(pid) AS blockers
FROM waiting
ORDER BY waitstart
