-- Purpose: whether other logins have sessions in this database of which this login sees no snapshot and no state; and
-- the name of this login.
-- Reads no table. It is what PostgreSQL's own views decide by.
SELECT EXISTS (
    SELECT FROM pg_stat_activity
    WHERE datname = current_database()
        AND usesysid IS NOT NULL
        AND NOT pg_has_role(current_user, usesysid, 'USAGE')
        AND NOT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')
) AS are_hidden, quote_ident(current_user) AS login
