-- A number as it is compared: whole ones exactly, others as the nearest double, with the digits that Python shows.
CREATE FUNCTION taskmill.strict_number(literal text) RETURNS numeric
LANGUAGE plpgsql STABLE AS $$
DECLARE
    nearest double precision;
BEGIN
    IF literal !~ '[.eE]' THEN
        IF length(literal) > 20 OR literal::numeric NOT BETWEEN -9223372036854775808 AND 9223372036854775807 THEN
            PERFORM taskmill.refuse_json('an integer does not fit in 64 bits');
        END IF;
        RETURN literal::numeric;
    END IF;
    BEGIN
        nearest = literal::double precision;
    EXCEPTION WHEN numeric_value_out_of_range THEN
        IF literal !~ '[eE]-|^-?0[.]' THEN
            PERFORM taskmill.refuse_json('a number is too large for a double');
        END IF;
        nearest = 0;
    END;
    IF nearest = trunc(nearest) AND abs(nearest) < 9223372036854775808 THEN
        RETURN round(nearest::bigint::numeric, 1);
    END IF;
    RETURN round(nearest::text::numeric, greatest(scale(nearest::text::numeric), 1));
END $$;

-- Reads JSON with care: no name twice in an object, no number that is not exact. Slower than a cast.
CREATE FUNCTION taskmill.strict_value(value json) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    doubled text;
BEGIN
    CASE json_typeof(value)
        WHEN 'object' THEN
            SELECT one.key INTO doubled FROM json_each(value) AS one GROUP BY one.key HAVING count(*) > 1 LIMIT 1;
            IF FOUND THEN
                PERFORM taskmill.refuse_json(
                    'the key "' || taskmill.plain_text(taskmill.cut_text(doubled, 60))
                    || '" is twice in one object');
            END IF;
            RETURN (SELECT coalesce(jsonb_object_agg(one.key, taskmill.strict_value(one.value)), '{}')
                FROM json_each(value) AS one);
        WHEN 'array' THEN
            RETURN (SELECT coalesce(jsonb_agg(taskmill.strict_value(one.value) ORDER BY one.place), '[]')
                FROM json_array_elements(value) WITH ORDINALITY AS one (value, place));
        WHEN 'number' THEN
            RETURN to_jsonb(taskmill.strict_number(btrim(value::text)));
        ELSE
            RETURN value::jsonb;
    END CASE;
END $$;

-- The payload as it is checked: what `strict_json.parse` refuses is refused.
CREATE FUNCTION taskmill.strict_payload(payload json, longest integer) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    written constant text = payload::text;
    brackets text;
    value jsonb;
BEGIN
    IF octet_length(written) > longest THEN
        PERFORM taskmill.refuse_violations(taskmill.add_violation(
            '[]', '/payload', 'at most ' || longest || ' bytes', 'more'));
    END IF;
    IF length(written) - length(translate(written, '[{', '')) > 63 THEN
        brackets = translate(regexp_replace(
            regexp_replace(written, '"(?:[^"\\]|\\.)*"', '', 'g'), '[^][{}]', '', 'g'), '{}', '[]');
        FOR round IN 1 .. 63 LOOP
            brackets = replace(brackets, '[]', '');
        END LOOP;
        IF brackets <> '' THEN
            PERFORM taskmill.refuse_json('nested deeper than 64, or brackets do not match');
        END IF;
    END IF;
    BEGIN
        value = payload::jsonb;
    EXCEPTION WHEN untranslatable_character OR invalid_text_representation THEN
        PERFORM taskmill.refuse_violations(taskmill.add_violation(
            '[]', '/payload', 'text without NUL and lone surrogates',
            CASE WHEN written ~ '\\u0000' THEN 'a NUL character' ELSE 'a lone surrogate' END));
    END;
    IF written ~ '(^|[[,\s:])-?([0-9.]{16}|[0-9.]+[eE])' OR strpos(written, '\u0022') > 0
        OR length(written) - length(replace(written, '"', ''))
            <> length(value::text) - length(replace(value::text, '"', ''))
    THEN
        RETURN taskmill.strict_value(payload);
    END IF;
    RETURN value;
END $$;
