-- The text with everything that is not surely printable escaped: `words.plain`.
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

-- A step of a JSON pointer: `words.token`.
CREATE FUNCTION taskmill.pointer_token(name text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
AS $$ SELECT '/' || replace(replace(taskmill.plain_text(taskmill.cut_text(name, 60)), '~', '~0'), '/', '~1') $$;

CREATE FUNCTION taskmill.counted(count bigint, noun text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
AS $$ SELECT count || ' ' || noun || CASE WHEN count = 1 THEN '' ELSE 's' END $$;

-- A number as Python shows it; what has decimals is a double. PostgreSQL goes over to exponents one digit earlier.
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
    IF shown LIKE '%e+15' THEN
        digits = replace(replace(split_part(shown, 'e', 1), '.', ''), '-', '');
        RETURN CASE WHEN value < 0 THEN '-' ELSE '' END || rpad(left(digits, 16), 16, '0') || '.'
            || CASE WHEN length(digits) > 16 THEN substr(digits, 17) ELSE '0' END;
    END IF;
    RETURN shown || CASE WHEN shown ~ '[.e]' THEN '' ELSE '.0' END;
END $$;

-- What a JSON value is, in a few words: `words.got`.
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
