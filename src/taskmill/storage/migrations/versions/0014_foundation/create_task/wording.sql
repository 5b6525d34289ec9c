-- The text with every character escaped that may not be printable: `wording.plain`.
CREATE FUNCTION taskmill.plain_text(value text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
DECLARE
    unusual constant text := '[^\u0020-\u007E\u00A1-\u00AC\u00AE-\u024F\u03A3-\u03FF\u0400-\u04FF\u2026'
        || '\u3041-\u3096\u30A1-\u30FA\u4E00-\u9FFC\uAC00-\uD7A3]';
    shown text = '';
    one text;
    code text;
BEGIN
    IF value COLLATE "C" !~ unusual THEN
        RETURN value;
    END IF;
    FOREACH one IN ARRAY string_to_array(value, NULL) LOOP
        IF one COLLATE "C" ~ unusual THEN
            code = to_hex(ascii(one));
            one = '\u' || lpad(code, greatest(length(code), 4), '0');
        END IF;
        shown = shown || one;
    END LOOP;
    RETURN shown;
END $$;

-- The text cut to so many characters.
CREATE FUNCTION taskmill.cut_text(value text, longest integer) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
AS $$ SELECT CASE WHEN length(value) <= longest THEN value ELSE left(value, longest - 1) || U&'\2026' END $$;

-- A step of a JSON pointer: `wording.json_pointer`.
CREATE FUNCTION taskmill.pointer_token(name text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
AS $$ SELECT '/' || replace(replace(taskmill.plain_text(taskmill.cut_text(name, 60)), '~', '~0'), '/', '~1') $$;

CREATE FUNCTION taskmill.counted(count bigint, noun text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
AS $$ SELECT count || ' ' || noun || CASE WHEN count = 1 THEN '' ELSE 's' END $$;

-- A large double with the fewest digits that parse to it again. If those are half way between two doubles, Python
-- takes them, and PostgreSQL takes more digits.
CREATE FUNCTION taskmill.fewest_digits(shown text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
DECLARE
    mantissa constant numeric = split_part(ltrim(shown, '-'), 'e', 1)::numeric;
    exponent constant integer = split_part(shown, 'e', 2)::integer;
    rounded numeric;
BEGIN
    FOR decimals IN 0 .. scale(mantissa) - 1 LOOP
        rounded = round(mantissa, decimals);
        CONTINUE WHEN (rounded || 'e' || exponent)::numeric > 1.7976931348623157e308;
        IF (rounded || 'e' || exponent)::double precision = abs(shown::double precision) THEN
            RETURN CASE WHEN shown LIKE '-%' THEN '-' ELSE '' END || CASE WHEN rounded >= 10
                THEN '1e+' || exponent + 1 ELSE trim_scale(rounded) || 'e+' || exponent END;
        END IF;
    END LOOP;
    RETURN shown;
END $$;

-- A number as Python shows it; one with decimals is a double. PostgreSQL changes to exponents one digit earlier.
CREATE FUNCTION taskmill.number_text(value numeric) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
DECLARE
    shown text = value::text;
    digits text;
BEGIN
    IF scale(value) = 0 THEN
        RETURN shown;
    END IF;
    shown = value::double precision::text;
    IF abs(value) >= 18014398509481984 THEN
        RETURN taskmill.fewest_digits(shown);
    END IF;
    IF shown LIKE '%e+15' THEN
        digits = replace(replace(split_part(shown, 'e', 1), '.', ''), '-', '');
        RETURN CASE WHEN value < 0 THEN '-' ELSE '' END || rpad(left(digits, 16), 16, '0') || '.'
            || CASE WHEN length(digits) > 16 THEN substr(digits, 17) ELSE '0' END;
    END IF;
    RETURN shown || CASE WHEN shown ~ '[.e]' THEN '' ELSE '.0' END;
END $$;

-- What a JSON value is, in a few words: `wording.describe`.
CREATE FUNCTION taskmill.described(value jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
BEGIN
    CASE jsonb_typeof(value)
        WHEN 'number' THEN
            RETURN 'the number ' || taskmill.number_text(value::numeric);
        WHEN 'string' THEN
            RETURN CASE WHEN value = '""' THEN 'an empty string'
                ELSE 'a string of ' || taskmill.counted(length(value #>> '{}'), 'character') END;
        WHEN 'object' THEN
            RETURN 'an object of ' || taskmill.counted((SELECT count(*) FROM jsonb_object_keys(value)), 'field');
        WHEN 'array' THEN
            RETURN 'an array';
        ELSE
            RETURN value::text;
    END CASE;
END $$;
