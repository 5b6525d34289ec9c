-- Purpose: the connections of the server, of this database and of this login, and how many each may have.
-- Reads no table. Background processes have no login. A limit of -1 is none; what is reserved is for others.
SELECT
    'server' AS scope,
    coalesce(host(inet_server_addr()), 'localhost') AS name,
    count(*)::integer AS used,
    (
        current_setting('max_connections')::integer
        - current_setting('superuser_reserved_connections')::integer
        - coalesce(current_setting('reserved_connections', true)::integer, 0)
    ) AS "limit"
FROM pg_stat_activity
WHERE usesysid IS NOT NULL
UNION ALL
SELECT 'database', quote_ident(d.datname), count(a.pid)::integer, d.datconnlimit
FROM pg_database AS d LEFT JOIN pg_stat_activity AS a ON a.datid = d.oid AND a.usesysid IS NOT NULL
WHERE d.datname = current_database() AND d.datconnlimit > 0
GROUP BY d.datname, d.datconnlimit
UNION ALL
SELECT 'login', quote_ident(r.rolname), count(a.pid)::integer, r.rolconnlimit
FROM pg_roles AS r LEFT JOIN pg_stat_activity AS a ON a.usesysid = r.oid
WHERE r.rolname = session_user AND r.rolconnlimit > 0
GROUP BY r.rolname, r.rolconnlimit
