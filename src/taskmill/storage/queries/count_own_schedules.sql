-- Purpose: how many schedules an owner has, up to $2 bigint. $1 text: its name. Relies on schedule_owner.
SELECT count(*) FROM (SELECT FROM taskmill.schedule WHERE owner = $1 LIMIT $2) AS counted
