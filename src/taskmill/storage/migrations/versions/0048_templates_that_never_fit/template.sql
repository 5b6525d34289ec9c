-- Refuses a template of tasks that `create_task` would refuse, and returns the queue and the type of its tasks. What is not a
-- matter of kinds is left to that function: it creates a task, which is undone at once.
CREATE OR REPLACE FUNCTION taskmill.check_template(
    schedule text, task json, longest integer, OUT queue text, OUT type text
) RETURNS record
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_variable
DECLARE
    given constant jsonb = taskmill.bounded_object(task, '/task', longest);
    -- As a task of the schedule has them.
    labels constant jsonb = coalesce(nullif(given -> 'labels', 'null'), '{}') || jsonb_build_object('schedule', schedule);
    undone constant text = 'TM042';
    refusal text;
    wrong record;
    made uuid;
BEGIN
    IF given IS NULL THEN
        PERFORM taskmill.refuse_field('/task', 'an object: the fields of a task');
    END IF;
    FOR wrong IN
        SELECT '/task/' || g.key AS pointer, coalesce(k.expected, 'no such field') AS expected
        FROM jsonb_each(given) AS g (key, value)
        LEFT JOIN (VALUES
            ('name', 'string', 'a string'), ('description', 'string', 'a string, or null'),
            ('type', 'string', 'a string'), ('queue', 'string', 'a string'),
            ('callback_url', 'string', 'a string, or null'), ('payload', 'object', 'an object, or null'),
            ('retry', 'object', 'an object, or null'), ('labels', 'object', 'an object'),
            ('payload_secrets', 'array', 'an array, or null'), ('timeout_s', 'number', 'a number, or null'),
            ('priority', 'integer', 'a whole number'), ('max_attempts', 'integer', 'a whole number'),
            ('max_losses', 'integer', 'a whole number'),
            ('expires_at', 'null', 'no expires_at: it would be the same time for all tasks'),
            ('run_at', 'null', 'no run_at: tasks run when their tick comes'),
            ('delay_s', 'null', 'no delay_s: tasks run when their tick comes'),
            ('idempotency_key', 'null', 'no idempotency_key: a tick never makes two tasks')
        ) AS k (key, kind, expected) USING (key)
        -- Those that have a default are left out, not null.
        WHERE NOT coalesce(CASE
            WHEN jsonb_typeof(g.value) = 'null' THEN k.kind = 'null' OR k.expected LIKE '%, or null'
            WHEN k.kind = 'integer' THEN jsonb_typeof(g.value) = 'number' AND g.value #>> '{}' ~ '^-?[0-9]{1,9}$'
            ELSE jsonb_typeof(g.value) = k.kind END, false)
    LOOP
        PERFORM taskmill.refuse_field(wrong.pointer, wrong.expected);
    END LOOP;
    FOR wrong IN SELECT w.pointer, w.expected FROM (VALUES
        ((SELECT count(*) FROM json_object_keys(task)) = (SELECT count(*) FROM jsonb_object_keys(given)), '/task',
            'each field once'),
        (given #> '{labels,schedule}' = to_jsonb(schedule), '/task/labels/schedule',
            'no label schedule, or the schedule''s name'),
        (given #>> '{labels,taskmill.hop}' ~ '^[0-9]{1,9}$', '/task/labels/taskmill.hop', 'a whole number'),
        (given ->> 'type' <> 'http' OR given ->> 'payload' IS NOT NULL, '/task/payload',
            'an object that has at least a url')
        ) AS w (fits, pointer, expected)
        WHERE NOT w.fits
    LOOP
        PERFORM taskmill.refuse_field(wrong.pointer, wrong.expected);
    END LOOP;
    BEGIN
        made = taskmill.create_task(
            name => given ->> 'name', description => given ->> 'description', type => given ->> 'type',
            payload => (given -> 'payload')::json, queue => given ->> 'queue',
            priority => (given ->> 'priority')::integer, max_attempts => (given ->> 'max_attempts')::integer,
            max_losses => (given ->> 'max_losses')::integer, retry => (given -> 'retry')::json,
            timeout_s => (given ->> 'timeout_s')::double precision, callback_url => given ->> 'callback_url',
            labels => labels::json, payload_secrets => (given -> 'payload_secrets')::json);
        SELECT t.queue, t.type INTO STRICT queue, type FROM taskmill.task AS t WHERE t.id = made;
        RAISE EXCEPTION USING ERRCODE = undone;
    EXCEPTION
        WHEN SQLSTATE 'TM042' THEN
            RETURN;
        WHEN invalid_parameter_value THEN
            GET STACKED DIAGNOSTICS refusal = PG_EXCEPTION_DETAIL;
            IF refusal NOT LIKE '{%' OR refusal::jsonb #> '{errors,0}' IS NULL THEN
                RAISE;
            END IF;
            PERFORM taskmill.refuse_field(
                '/task' || (refusal::jsonb #>> '{errors,0,pointer}'), refusal::jsonb #>> '{errors,0,expected}');
    END;
END $$;
