-- The Monday of the week in which a task was created, by its id, a UUIDv7: the week of its partition. The argument is
-- used once, so that calls are inlined.
CREATE FUNCTION taskmill.week_of(id uuid) RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT date '1970-01-05' + 7 * (
        (('x' || translate(left(id::text, 13), '-', ''))::bit(48)::bigint - 345600000) / 604800000
    )::integer
$$;

REVOKE ALL ON FUNCTION taskmill.week_of FROM PUBLIC;

-- Tasks by week, queue and status. Folding task_count adds to it, so it is complete only together with rows there
-- that name their week.
CREATE TABLE taskmill.task_week_count (
    week date NOT NULL,
    queue text NOT NULL,
    status text NOT NULL,
    tasks bigint NOT NULL,
    PRIMARY KEY (week, queue, status)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);

-- A difference names its week until it is folded; a sum, and what the previous release writes, names none.
ALTER TABLE taskmill.task_count ADD COLUMN week date
