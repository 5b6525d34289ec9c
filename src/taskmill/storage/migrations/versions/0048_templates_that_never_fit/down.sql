-- Refuses a template of tasks that `create_task` would refuse, and returns the queue and the type of its tasks. What is not a
-- matter of kinds is left to that function: it creates a task, which is undone at once.
CREATE OR REPLACE FUNCTION taskmill.check_template(
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

-- Refuses a field of a schedule that lengths, ranges and words don't allow: the first one. Whether it ever has a tick, and
-- whether there is such a zone, is for whoever computes ticks.
CREATE OR REPLACE FUNCTION taskmill.check_schedule(
    name text, cron text, every interval, at timestamptz[], anchor timestamptz, zone text, gap text, fold text,
    starts_at timestamptz, ends_at timestamptz, jitter_s double precision, catch_up text, within interval, most integer,
    overlap text
) RETURNS void
LANGUAGE plpgsql IMMUTABLE AS $$
#variable_conflict use_variable
DECLARE
    times constant tstzrange = '[2000-01-01 00:00:00+00, 2101-01-01 00:00:00+00)';
    years constant text = 'a time of the years 2000 to 2100';
    wrong record;
BEGIN
    FOR wrong IN SELECT w.pointer, w.expected FROM (VALUES
        (coalesce(name COLLATE "C" ~ '^[a-z0-9][a-z0-9._-]{0,62}$', false), '/name',
            '1 to 63 characters a-z, 0-9, ''.'', ''_'' or ''-'', the first a letter or a digit'),
        (num_nonnulls(cron, every, at) > 0, '', 'one of cron, every and at'),
        (num_nonnulls(cron, every, at) < 2, '', 'only one of cron, every and at'),
        (length(cron) <= 500 AND cron COLLATE "C" ~ '^[\t -~]+$'
            AND cron COLLATE "C" ~ '^[\t ]*(@[a-z]+|[^@\t ][^\t ]*([\t ]+[^\t ]+){4,5})[\t ]*$',
            '/cron', 'a cron expression of 5 or 6 fields, or such as @daily'),
        (taskmill.is_span(every, '1 second', '36525 days'), '/every',
            'an interval of a second or more, at most 36525 days, without months and years'),
        (taskmill.are_ticks(at), '/at', '1 to 50 times of the years 2000 to 2100, a second or more apart, ascending'),
        (anchor <@ times, '/anchor', years),
        (anchor IS NULL OR every IS NOT NULL, '/anchor', 'no anchor without every'),
        (length(zone) BETWEEN 1 AND 64 AND zone COLLATE "C" ~ '^[\t -~]+$', '/zone',
            'the IANA name of a time zone, such as Europe/Berlin'),
        (gap IN ('end', 'skip'), '/gap', 'one of end, skip'),
        (fold IN ('first', 'last', 'both'), '/fold', 'one of first, last, both'),
        (starts_at <@ times, '/starts_at', years),
        (ends_at <@ times, '/ends_at', years),
        (ends_at > starts_at, '/ends_at', 'a time after starts_at'),
        (jitter_s BETWEEN 0 AND 86400, '/jitter_s', 'a number of seconds from 0 to 86,400 (a day)'),
        (catch_up IN ('none', 'latest', 'all'), '/catch_up', 'one of none, latest, all'),
        (taskmill.is_span(within, '0', '31 days'), '/within', 'an interval of at most 31 days, without months'),
        (most BETWEEN 1 AND 1000, '/most', 'a whole number from 1 to 1,000'),
        (overlap IN ('allow', 'skip', 'hold_one', 'cancel_running'), '/overlap',
            'one of allow, skip, hold_one, cancel_running')
        ) AS w (fits, pointer, expected)
        WHERE NOT w.fits
    LOOP
        PERFORM taskmill.refuse_field(wrong.pointer, wrong.expected);
    END LOOP;
END $$;

DROP FUNCTION taskmill.has_tick;
