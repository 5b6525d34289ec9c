-- A text that was refused, shown if it is short.
CREATE FUNCTION taskmill.described_text(value text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN value IS NULL THEN 'nothing' WHEN value = '' THEN 'an empty string'
        WHEN length(value) <= 60 THEN 'the string "' || taskmill.plain_text(value) || '"'
        ELSE 'a string of ' || taskmill.counted(length(value), 'character') END
$$;

-- What a JSON value is. A text is shown if it is short.
CREATE FUNCTION taskmill.shown(value jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE jsonb_typeof(value)
        WHEN 'string' THEN taskmill.described_text(value #>> '{}') ELSE taskmill.described(value) END
$$;

CREATE FUNCTION taskmill.described_time(value timestamptz) RETURNS text
LANGUAGE sql STABLE AS $$ SELECT 'the time ' || coalesce(to_json(value) #>> '{}', 'null') $$;

CREATE FUNCTION taskmill.number_between(value jsonb, lowest numeric, highest numeric) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN CASE WHEN jsonb_typeof(value) = 'number' THEN value::numeric BETWEEN lowest AND highest ELSE false END;
END $$;

-- The violations in the payload of a task of type `emulate`: `wire/emulation.py`.
CREATE FUNCTION taskmill.emulation_violations(payload jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    faults jsonb = '[]';
    name text;
    most integer;
BEGIN
    FOREACH name IN ARRAY ARRAY['delay_max_s', 'delay_min_s', 'delay_s', 'failure_probability', 'seed'] LOOP
        most = CASE name WHEN 'failure_probability' THEN 1 ELSE 86400 END;
        IF NOT payload ? name THEN
            CONTINUE;
        END IF;
        IF name = 'seed' THEN
            IF jsonb_typeof(payload -> name) <> 'number' OR scale((payload ->> name)::numeric) > 0 THEN
                faults = taskmill.add_violation(
                    faults, '/payload/seed', 'a whole number', taskmill.described(payload -> name));
            END IF;
        ELSIF NOT taskmill.number_between(payload -> name, 0, most) THEN
            faults = taskmill.add_violation(faults, '/payload/' || name, CASE most
                WHEN 1 THEN 'a number from 0 to 1'
                ELSE 'a number of seconds from 0 to 86,400 (a day)' END, taskmill.described(payload -> name));
        END IF;
    END LOOP;
    FOREACH name IN ARRAY ARRAY['delay_max_s', 'delay_min_s'] LOOP
        IF payload ?& ARRAY[name, 'delay_s'] THEN
            faults = taskmill.add_violation(
                faults, '/payload/' || name, 'either delay_s, or delay_min_s and delay_max_s', 'both');
        END IF;
    END LOOP;
    IF taskmill.number_between(payload -> 'delay_min_s', 0, 86400)
        AND taskmill.number_between(payload -> 'delay_max_s', 0, 86400)
    THEN
        IF (payload ->> 'delay_min_s')::numeric > (payload ->> 'delay_max_s')::numeric THEN
            faults = taskmill.add_violation(faults, '/payload/delay_max_s',
                'a number of seconds not under delay_min_s', taskmill.described(payload -> 'delay_max_s'));
        END IF;
    END IF;
    RETURN faults;
END $$;

-- The violations in a retry policy. `written` has the names in their order; so with labels.
CREATE FUNCTION taskmill.retry_violations(written json, retry jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    faults jsonb = '[]';
    field record;
BEGIN
    IF jsonb_typeof(retry) <> 'object' THEN
        RETURN taskmill.add_violation(faults, '/retry',
            'an object with base_s, factor, max_s and jitter, or null', taskmill.described(retry));
    END IF;
    FOR field IN SELECT f.name, f.lowest, f.highest, f.words FROM (VALUES
        ('base_s', 0, 86400, 'a number of seconds from 0 to 86,400 (a day)'),
        ('factor', 1, 100, 'a number from 1 to 100'),
        ('max_s', 0, 604800, 'a number of seconds from 0 to 604,800 (a week)'),
        ('jitter', 0, 1, 'a number from 0 to 1')) AS f (name, lowest, highest, words)
    LOOP
        IF retry ? field.name
            AND NOT taskmill.number_between(retry -> field.name, field.lowest, field.highest)
        THEN
            faults = taskmill.add_violation(
                faults, '/retry/' || field.name, field.words, taskmill.shown(retry -> field.name));
        END IF;
    END LOOP;
    RETURN taskmill.add_unknown_fields(faults, '/retry', written, '{base_s,factor,max_s,jitter}');
END $$;

CREATE FUNCTION taskmill.label_violations(written json, labels jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    expected constant text = 'an object of texts: keys of 1 to 63 characters, values of at most 255';
    faults jsonb = '[]';
    key text;
    value jsonb;
BEGIN
    IF jsonb_typeof(labels) <> 'object' THEN
        RETURN taskmill.add_violation(faults, '/labels', expected, taskmill.described(labels));
    END IF;
    FOR key IN SELECT one.key FROM json_object_keys(written) WITH ORDINALITY AS one (key, place) ORDER BY one.place LOOP
        value = labels -> key;
        IF length(key) NOT BETWEEN 1 AND 63 THEN
            faults = taskmill.add_violation(faults, '/labels' || taskmill.pointer_token(key), expected,
                taskmill.described(to_jsonb(key)));
        END IF;
        IF jsonb_typeof(value) <> 'string' OR length(value #>> '{}') > 255 THEN
            faults = taskmill.add_violation(faults, '/labels' || taskmill.pointer_token(key), expected,
                taskmill.described(value));
        END IF;
    END LOOP;
    RETURN faults;
END $$;
