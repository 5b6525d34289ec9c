-- The place of a number's first digit that is not zero: over 0 before the decimal point.
CREATE FUNCTION taskmill.first_digit_place(literal text) RETURNS numeric
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
DECLARE
    parts constant text[] = regexp_match(literal, '^-?0*([0-9]*)[.]?(0*)[0-9]*(?:[eE]([+-]?)0*([0-9]*))?$');
    exponent constant numeric = CASE
        WHEN coalesce(parts[4], '') = '' THEN 0 WHEN length(parts[4]) > 9 THEN 1000000000 ELSE parts[4]::numeric END;
BEGIN
    RETURN CASE WHEN parts[1] <> '' THEN length(parts[1]) ELSE -length(parts[2]) END
        + CASE WHEN parts[3] = '-' THEN -exponent ELSE exponent END;
END $$;

-- A number as it is compared: an integer exactly, others as the nearest double, with the digits that Python shows.
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
        -- Too large, or too near to zero: where the first digit is tells which.
        IF taskmill.first_digit_place(literal) > 0 THEN
            PERFORM taskmill.refuse_json('a number is too large for a double');
        END IF;
        nearest = 0;
    END;
    IF nearest = trunc(nearest) AND abs(nearest) < 9223372036854775808 THEN
        RETURN round(nearest::bigint::numeric, 1);
    END IF;
    RETURN round(nearest::text::numeric, greatest(scale(nearest::text::numeric), 1));
END $$;

-- Parses JSON strictly: no name twice in an object, no number that is not exact. Slower than a cast.
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
            RETURN to_jsonb(taskmill.strict_number(btrim(value::text, E' \t\n\r')));
        ELSE
            RETURN value::jsonb;
    END CASE;
END $$;

-- Parses JSON as `strict_json.parse` does, and refuses what that refuses. `place` is the field it was given for.
CREATE FUNCTION taskmill.strict_json(payload json, place text, longest integer) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    written constant text = payload::text;
    brackets text;
    value jsonb;
BEGIN
    IF octet_length(written) > longest THEN
        PERFORM taskmill.refuse_violations(taskmill.add_violation(
            '[]', place, 'at most ' || longest || ' bytes', 'more'));
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
        BEGIN
            value = payload::jsonb;
        EXCEPTION WHEN numeric_value_out_of_range THEN
            -- Beyond what jsonb has, and too large for a double, or near enough to zero to be read as it.
            RETURN taskmill.strict_value(payload);
        END;
    EXCEPTION WHEN untranslatable_character OR invalid_text_representation THEN
        PERFORM taskmill.refuse_violations(taskmill.add_violation(
            '[]', place, 'text without NUL and lone surrogates',
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
