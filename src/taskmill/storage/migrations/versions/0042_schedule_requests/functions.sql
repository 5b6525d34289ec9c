-- Makes a row for what is asked for of a schedule, if there is none, and locks it to the end of the transaction. Who may not
-- create tasks in the queue of that schedule, or of what others have asked for under its name, is refused. Returns the queue
-- of the schedule, null when there is none.
CREATE FUNCTION taskmill.lock_schedule_request(name text) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_variable
DECLARE
    asked_for text;
    stored text;
BEGIN
    INSERT INTO taskmill.schedule_request AS r (name, asked_by, asked_at) VALUES (name, session_user, clock_timestamp())
    ON CONFLICT DO NOTHING;
    SELECT r.queue INTO asked_for FROM taskmill.schedule_request AS r WHERE r.name = name FOR UPDATE;
    SELECT s.queue INTO stored FROM taskmill.schedule AS s WHERE s.name = name;
    PERFORM taskmill.refuse_ungranted_queue(q.queue) FROM unnest(ARRAY[asked_for, stored]) AS q (queue)
    WHERE q.queue IS NOT NULL;
    RETURN stored;
END $$;

-- Asks for a schedule in the caller's transaction: maintenance stores it when that has committed, or refuses it, which the
-- schedule shows. It checks what lengths, ranges and words can say, and the template as `create_task` does. An argument that
-- is null counts as not given. It runs as its owner: grant it to the roles that may create tasks (docs/reference/sql.md).
-- Locks, in this order: those of `create_task`, which it gives back; the row of what is asked for.
CREATE FUNCTION taskmill.put_schedule(
    name text, task json, cron text DEFAULT NULL, every interval DEFAULT NULL, at timestamptz[] DEFAULT NULL,
    anchor timestamptz DEFAULT NULL, zone text DEFAULT NULL, gap text DEFAULT NULL, fold text DEFAULT NULL,
    starts_at timestamptz DEFAULT NULL, ends_at timestamptz DEFAULT NULL, jitter_s double precision DEFAULT NULL,
    catch_up text DEFAULT NULL, within interval DEFAULT NULL, most integer DEFAULT NULL, overlap text DEFAULT NULL
) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
SET extra_float_digits = 1
SET timezone = 'UTC'
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    longest integer;
    template record;
    replaced text;
BEGIN
    PERFORM taskmill.check_schedule(
        name, cron, every, at, anchor, zone, gap, fold, starts_at, ends_at, jitter_s, catch_up, within, most, overlap);
    SELECT l.payload_bytes INTO STRICT longest FROM taskmill.request_limit AS l;
    template = taskmill.check_template(name, task, longest);
    replaced = taskmill.lock_schedule_request(name);
    UPDATE taskmill.schedule_request AS r
    SET id = DEFAULT, queue = template.queue, type = template.type, replaced_queue = replaced, asked_by = session_user,
        asked_at = clock_timestamp(), problem = NULL, body = (
            SELECT json_object_agg(g.name, g.value)
            FROM (VALUES
                ('cron', to_json(cron)), ('every', to_json(taskmill.iso_duration(every))),
                ('at', (SELECT json_agg(a.tick ORDER BY a.number) FROM unnest(at) WITH ORDINALITY AS a (tick, number))),
                ('anchor', to_json(anchor)), ('zone', to_json(zone)), ('gap', to_json(gap)), ('fold', to_json(fold)),
                ('starts_at', to_json(starts_at)), ('ends_at', to_json(ends_at)), ('jitter_s', to_json(jitter_s)),
                ('catch_up', to_json(catch_up)), ('within', to_json(taskmill.iso_duration(within))),
                ('most', to_json(most)), ('overlap', to_json(overlap)), ('task', task)) AS g (name, value)
            WHERE g.value IS NOT NULL)
    WHERE r.name = name;
    PERFORM taskmill.notify_if_idle();
END $$;

-- Asks in the caller's transaction for a schedule to be paused, or with `paused => false` to go on with its next tick. What is
-- asked for under its name by `put_schedule` is paused when it is stored.
CREATE FUNCTION taskmill.pause_schedule(name text, paused boolean DEFAULT true) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    replaced text;
BEGIN
    IF name IS NULL THEN
        PERFORM taskmill.refuse_field('/name', 'the name of a schedule');
    END IF;
    replaced = taskmill.lock_schedule_request(name);
    UPDATE taskmill.schedule_request AS r
    SET id = DEFAULT, paused = coalesce(paused, true), asked_by = session_user, asked_at = clock_timestamp(),
        replaced_queue = replaced
    WHERE r.name = name AND (replaced IS NOT NULL OR r.body IS NOT NULL);
    IF NOT FOUND THEN
        PERFORM taskmill.refuse_request('schedule-not-found', 'There is no such schedule',
            'there is no schedule ' || quote_literal(name), jsonb_build_object('status', 404));
    END IF;
    PERFORM taskmill.notify_if_idle();
END $$;

REVOKE ALL ON FUNCTION taskmill.lock_schedule_request, taskmill.put_schedule, taskmill.pause_schedule FROM PUBLIC;
