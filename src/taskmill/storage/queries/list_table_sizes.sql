-- Purpose: the largest tables, with their indexes and their partitions. $1 integer: most tables.
-- Reads the catalogue and the statistics, and locks no table, so that sizes are those of the last vacuum or analyze.
WITH own AS MATERIALIZED (
    SELECT c.oid, coalesce(parent.relname, c.relname) AS name, c.reltoastrelid, c.relpages
    FROM pg_class AS c
    LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid
    LEFT JOIN pg_class AS parent ON parent.oid = i.inhparent
    WHERE c.relnamespace = 'taskmill'::regnamespace AND c.relkind = 'r'
),
summed AS (
    SELECT
        own.name::text AS name, count(*)::integer AS partitions,
        sum(own.relpages + coalesce(toast.relpages, 0) + coalesce(indexes.pages, 0)) AS pages,
        sum(pg_stat_get_live_tuples(own.oid))::bigint AS live,
        sum(pg_stat_get_dead_tuples(own.oid))::bigint AS dead,
        max(greatest(pg_stat_get_last_vacuum_time(own.oid), pg_stat_get_last_autovacuum_time(own.oid))) AS vacuumed_at
    FROM own
    LEFT JOIN pg_class AS toast ON toast.oid = own.reltoastrelid
    LEFT JOIN LATERAL (
        SELECT sum(one.relpages) AS pages
        FROM pg_index AS x
        JOIN pg_class AS one ON one.oid = x.indexrelid
        WHERE x.indrelid = own.oid
    ) AS indexes ON true
    GROUP BY own.name
)
SELECT name, partitions, (pages * block)::bigint AS size, live, dead, vacuumed_at
FROM summed
CROSS JOIN (SELECT current_setting('block_size')::integer AS block) AS server
ORDER BY size DESC, name
LIMIT $1
