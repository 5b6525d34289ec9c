-- Purpose: how many schedules there are, up to $1 bigint. Relies on the primary key: while ids are fewer, none is counted.
SELECT CASE
    WHEN (SELECT coalesce(max(id), 0) FROM taskmill.schedule) < $1 THEN 0
    ELSE (SELECT count(*) FROM (SELECT FROM taskmill.schedule LIMIT $1) AS counted)
END AS schedules
