-- Refuses a template of tasks that `create_task` would refuse, and returns the queue and the type of its tasks. What is not a
-- matter of kinds is left to that function: it creates a task, which is undone at once.
CREATE FUNCTION taskmill.check_template(
    schedule text, task json, longest integer, OUT queue text, OUT type text
) RETURNS record
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_variable
DECLARE
    given constant jsonb = taskmill.bounded_object(task, '/task', longest);
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
            ('type', 'string', 'a string, or null'), ('queue', 'string', 'a string, or null'),
            ('callback_url', 'string', 'a string, or null'), ('payload', 'object', 'an object, or null'),
            ('retry', 'object', 'an object, or null'), ('labels', 'object', 'an object, or null'),
            ('payload_secrets', 'array', 'an array, or null'), ('timeout_s', 'number', 'a number, or null'),
            ('priority', 'integer', 'a whole number, or null'), ('max_attempts', 'integer', 'a whole number, or null'),
            ('max_losses', 'integer', 'a whole number, or null'),
            ('expires_at', 'time', 'an RFC 3339 time with a time zone, or null'),
            ('run_at', 'null', 'no run_at: tasks run when their tick comes'),
            ('delay_s', 'null', 'no delay_s: tasks run when their tick comes'),
            ('idempotency_key', 'null', 'no idempotency_key: a tick never makes two tasks')
        ) AS k (key, kind, expected) USING (key)
        WHERE NOT coalesce(jsonb_typeof(g.value) = 'null' OR CASE k.kind
            WHEN 'integer' THEN jsonb_typeof(g.value) = 'number' AND g.value #>> '{}' ~ '^-?[0-9]{1,9}$'
            WHEN 'time' THEN jsonb_typeof(g.value) = 'string' AND g.value #>> '{}' ~
                '^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?([Zz]|[+-][0-9]{2}:[0-9]{2})$'
            ELSE jsonb_typeof(g.value) = k.kind END, false) OR k.key IS NULL
    LOOP
        PERFORM taskmill.refuse_field(wrong.pointer, wrong.expected);
    END LOOP;
    IF given #>> '{labels,schedule}' <> schedule THEN
        PERFORM taskmill.refuse_field('/task/labels/schedule', 'no label schedule, or the schedule''s name');
    END IF;
    BEGIN
        made = taskmill.create_task(
            name => given ->> 'name', description => given ->> 'description', type => given ->> 'type',
            payload => (given -> 'payload')::json, queue => given ->> 'queue',
            priority => (given ->> 'priority')::integer, max_attempts => (given ->> 'max_attempts')::integer,
            max_losses => (given ->> 'max_losses')::integer, retry => (given -> 'retry')::json,
            timeout_s => (given ->> 'timeout_s')::double precision,
            expires_at => (given ->> 'expires_at')::timestamptz, callback_url => given ->> 'callback_url',
            labels => (given -> 'labels')::json, payload_secrets => (given -> 'payload_secrets')::json);
        SELECT t.queue, t.type INTO STRICT queue, type FROM taskmill.task AS t WHERE t.id = made;
        RAISE EXCEPTION USING ERRCODE = undone;
    EXCEPTION
        WHEN SQLSTATE 'TM042' THEN
            RETURN;
        WHEN datetime_field_overflow OR invalid_datetime_format THEN
            PERFORM taskmill.refuse_field('/task/expires_at', 'an RFC 3339 time with a time zone, or null');
        WHEN invalid_parameter_value THEN
            GET STACKED DIAGNOSTICS refusal = PG_EXCEPTION_DETAIL;
            IF refusal NOT LIKE '{%' OR refusal::jsonb #> '{errors,0}' IS NULL THEN
                RAISE;
            END IF;
            PERFORM taskmill.refuse_field(
                '/task' || (refusal::jsonb #>> '{errors,0,pointer}'), refusal::jsonb #>> '{errors,0,expected}');
    END;
END $$;

REVOKE ALL ON FUNCTION taskmill.check_template FROM PUBLIC;
