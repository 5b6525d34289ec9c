-- How many characters two texts share, counted as `difflib` of Python counts them.
CREATE FUNCTION taskmill.shared_characters(a text, b text) RETURNS integer
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
DECLARE
    place integer;
BEGIN
    FOR size IN REVERSE least(length(a), length(b)) .. 1 LOOP
        FOR at IN 1 .. length(a) - size + 1 LOOP
            place = strpos(b, substr(a, at, size));
            IF place > 0 THEN
                RETURN size + taskmill.shared_characters(left(a, at - 1), left(b, place - 1))
                    + taskmill.shared_characters(substr(a, at + size), substr(b, place + size));
            END IF;
        END LOOP;
    END LOOP;
    RETURN 0;
END $$;

-- The known name that may have been meant, null if there is none. What is far longer than a name is not compared.
CREATE FUNCTION taskmill.nearest_name(name text, known text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT AS $$
    SELECT likeness.known_name
    FROM unnest(known) AS one (known_name)
    CROSS JOIN LATERAL (SELECT one.known_name, length(name) + length(one.known_name) AS characters,
        CASE WHEN length(name) * 3 <= length(one.known_name) * 7
            THEN taskmill.shared_characters(one.known_name, name) ELSE 0 END AS shared) AS likeness
    WHERE likeness.shared * 10 >= likeness.characters * 3
    ORDER BY likeness.shared::double precision / likeness.characters DESC, likeness.known_name COLLATE "C" DESC
    LIMIT 1
$$;

-- Adds a violation for each name in an object that is not a known field, in their order.
CREATE FUNCTION taskmill.add_unknown_fields(faults jsonb, place text, object json, known text[]) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    name text;
    near text;
BEGIN
    FOR name IN
        SELECT one.name FROM json_object_keys(object) WITH ORDINALITY AS one (name, place)
        WHERE one.name <> ALL (known)
        ORDER BY one.place
        LIMIT 100
    LOOP
        near = taskmill.nearest_name(taskmill.plain_text(taskmill.cut_text(name, 60)), known);
        faults = taskmill.add_violation(
            faults, place || taskmill.pointer_token(name), 'only the fields ' || array_to_string(known, ', '),
            'an unknown field' || coalesce(' (did you mean "' || near || '"?)', ''));
    END LOOP;
    RETURN faults;
END $$;
