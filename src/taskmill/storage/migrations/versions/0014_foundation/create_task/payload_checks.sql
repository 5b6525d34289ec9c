CREATE FUNCTION taskmill.add_violation(faults jsonb, pointer text, expected text, got text) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN jsonb_array_length(faults) >= 100 THEN faults
        ELSE faults || jsonb_build_array(jsonb_build_object(
            'pointer', pointer, 'expected', expected, 'got', got)) END
$$;

CREATE FUNCTION taskmill.add_violations(faults jsonb, more jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(jsonb_agg(one.violation ORDER BY one.place), '[]')
    FROM jsonb_array_elements(faults || more) WITH ORDINALITY AS one (violation, place)
    WHERE one.place <= 100
$$;

CREATE FUNCTION taskmill.json_kind(value jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
DECLARE
    kind constant text = jsonb_typeof(value);
BEGIN
    IF kind <> 'number' THEN
        RETURN kind;
    END IF;
    RETURN CASE WHEN value::numeric = trunc(value::numeric) THEN 'integer' ELSE kind END;
END $$;

-- Whether a value satisfies a rule of a node.
CREATE FUNCTION taskmill.keeps_rule(rule text, argument jsonb, value jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    size bigint;
BEGIN
    CASE rule
        WHEN 'min' THEN RETURN value::numeric >= argument::numeric;
        WHEN 'max' THEN RETURN value::numeric <= argument::numeric;
        WHEN 'over' THEN RETURN value::numeric > argument::numeric;
        WHEN 'under' THEN RETURN value::numeric < argument::numeric;
        WHEN 'multiple' THEN RETURN mod(value::numeric, argument::numeric) = 0;
        WHEN 'unique' THEN
            RETURN (SELECT count(*) = count(DISTINCT item.value) FROM jsonb_array_elements(value) AS item (value));
        WHEN 'matches' THEN
            RETURN NOT EXISTS (
                SELECT FROM jsonb_array_elements(argument) AS a (condition)
                WHERE ((value #>> '{}') COLLATE "C" ~ (a.condition ->> 2)) = (a.condition -> 0)::boolean);
        ELSE
            size = CASE jsonb_typeof(value)
                WHEN 'string' THEN length(value #>> '{}')
                WHEN 'array' THEN jsonb_array_length(value)
                ELSE (SELECT count(*) FROM jsonb_object_keys(value)) END;
            RETURN CASE rule WHEN 'least' THEN size >= argument::numeric ELSE size <= argument::numeric END;
    END CASE;
END $$;

-- The steps that a large value costs beside its own: a text for each expression, compared values for their parts.
CREATE FUNCTION taskmill.check_weight(node jsonb, value jsonb) RETURNS integer
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    size integer;
    times integer;
BEGIN
    CASE jsonb_typeof(value)
        WHEN 'string' THEN
            size = length(value #>> '{}') / 1000;
            RETURN CASE WHEN size = 0 THEN 0 ELSE size * (
                SELECT coalesce(sum(jsonb_array_length(one.rule -> 2)), 0)
                FROM jsonb_array_elements(node -> 'rules') AS one (rule) WHERE one.rule ->> 1 = 'matches') END;
        WHEN 'array' THEN
            times = (node ? 'enum')::integer + EXISTS (
                SELECT FROM jsonb_array_elements(node -> 'rules') AS one (rule)
                WHERE one.rule ->> 1 = 'unique')::integer;
        WHEN 'object' THEN
            times = (node ? 'enum')::integer;
        ELSE
            RETURN 0;
    END CASE;
    RETURN CASE WHEN times = 0 THEN 0
        ELSE times * ((SELECT count(*) FROM jsonb_path_query(value, 'strict $.**')) / 10) END;
END $$;

-- Walks a value along a node as `checking.py` does, in the same steps. `faults` are the violations, `steps` the
-- steps so far. More than 100,000 of them, or a depth over 200, are too many: then the violations don't count.
CREATE FUNCTION taskmill.check_value(
    nodes jsonb, number integer, value jsonb, place text, depth integer, INOUT faults jsonb, INOUT steps integer
) LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    node constant jsonb = nodes -> number;
    kind constant text = taskmill.json_kind(value);
    part jsonb;
    own jsonb;
BEGIN
    IF jsonb_array_length(faults) >= 100 THEN
        RETURN;
    END IF;
    steps = CASE WHEN depth > 200 THEN 100001 ELSE least(steps, 100000) + 1 END;
    IF steps > 100000 THEN
        RETURN;
    END IF;
    IF node ? 'types' AND NOT (node -> 'types') ? kind THEN
        faults = taskmill.add_violation(faults, place, node ->> 'type_words', taskmill.described(value));
        RETURN;
    END IF;
    IF kind IN ('array', 'object') OR kind = 'string' AND length(value #>> '{}') >= 1000 THEN
        steps = steps + taskmill.check_weight(node, value);
        IF steps > 100000 THEN
            RETURN;
        END IF;
    END IF;
    -- An array contains a single value if one of its items is equal: that is found without taking it apart.
    IF node ? 'enum' AND NOT (CASE WHEN kind IN ('array', 'object')
        THEN EXISTS (
            SELECT FROM jsonb_array_elements(node -> 'enum') AS one (value) WHERE one.value = check_value.value)
        ELSE node -> 'enum' @> value END)
    THEN
        faults = taskmill.add_violation(faults, place, node ->> 'enum_words', taskmill.described(value));
        RETURN;
    END IF;
    FOR part IN SELECT rule.part FROM jsonb_array_elements(node -> 'rules') AS rule (part) LOOP
        IF (part ->> 0 = kind OR part ->> 0 = 'number' AND kind = 'integer')
            AND NOT taskmill.keeps_rule(part ->> 1, part -> 2, value)
        THEN
            faults = taskmill.add_violation(faults, place, part ->> 3, CASE
                WHEN part ->> 1 = 'unique' THEN 'a repeated item'
                WHEN kind = 'array' THEN taskmill.counted(jsonb_array_length(value), 'item')
                ELSE taskmill.described(value) END);
        END IF;
    END LOOP;
    IF kind = 'array' THEN
        SELECT c.faults, c.steps INTO faults, steps
        FROM taskmill.check_items(nodes, node, value, place, depth, faults, steps) AS c;
    ELSIF kind = 'object' THEN
        SELECT c.faults, c.steps INTO faults, steps
        FROM taskmill.check_fields(nodes, node, value, place, depth, faults, steps) AS c;
    END IF;
    FOR part IN SELECT one.part FROM jsonb_array_elements(node -> 'all') AS one (part) LOOP
        SELECT c.faults, c.steps INTO faults, steps
        FROM taskmill.check_value(nodes, part::integer, value, place, depth + 1, faults, steps) AS c;
    END LOOP;
    FOR part IN SELECT one.part FROM jsonb_array_elements(node -> 'unions') AS one (part) LOOP
        SELECT c.faults, c.steps INTO faults, steps
        FROM taskmill.check_union(nodes, part, value, place, depth, faults, steps) AS c;
    END LOOP;
    FOR part IN SELECT one.part FROM jsonb_array_elements(node -> 'nots') AS one (part) LOOP
        SELECT c.faults, c.steps INTO own, steps
        FROM taskmill.check_value(nodes, (part -> 0)::integer, value, place, depth + 1, '[]', steps) AS c;
        IF own = '[]' THEN
            faults = taskmill.add_violation(faults, place, part ->> 1, taskmill.described(value));
        END IF;
    END LOOP;
END $$;

CREATE FUNCTION taskmill.check_items(
    nodes jsonb, node jsonb, value jsonb, place text, depth integer, INOUT faults jsonb, INOUT steps integer
) LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    size constant integer = jsonb_array_length(value);
    first constant integer = coalesce(jsonb_array_length(node -> 'prefix'), 0);
BEGIN
    FOR at IN 0 .. least(first, size) - 1 LOOP
        SELECT c.faults, c.steps INTO faults, steps FROM taskmill.check_value(
            nodes, (node -> 'prefix' -> at)::integer, value -> at, place || '/' || at, depth + 1,
            faults, steps) AS c;
    END LOOP;
    IF node ? 'items' THEN
        FOR at IN first .. size - 1 LOOP
            EXIT WHEN steps > 100000;
            SELECT c.faults, c.steps INTO faults, steps FROM taskmill.check_value(
                nodes, (node -> 'items')::integer, value -> at, place || '/' || at, depth + 1, faults, steps) AS c;
        END LOOP;
    END IF;
END $$;

CREATE FUNCTION taskmill.check_fields(
    nodes jsonb, node jsonb, value jsonb, place text, depth integer, INOUT faults jsonb, INOUT steps integer
) LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    field jsonb;
    name text;
BEGIN
    FOR field IN SELECT one.field FROM jsonb_array_elements(node -> 'required') AS one (field) LOOP
        name = field ->> 0;
        IF NOT value ? name THEN
            faults = taskmill.add_violation(faults, place || taskmill.pointer_token(name), field ->> 1, 'nothing');
        END IF;
    END LOOP;
    FOR field IN SELECT one.field FROM jsonb_array_elements(node -> 'properties') AS one (field) LOOP
        name = field ->> 0;
        IF value ? name THEN
            SELECT c.faults, c.steps INTO faults, steps FROM taskmill.check_value(
                nodes, (field -> 1)::integer, value -> name, place || taskmill.pointer_token(name), depth + 1,
                faults, steps) AS c;
        END IF;
    END LOOP;
    IF node ?| ARRAY['patterns', 'others', 'names'] THEN
        FOR name IN SELECT one.name FROM jsonb_object_keys(value) AS one (name) ORDER BY one.name COLLATE "C" LOOP
            EXIT WHEN steps > 100000;
            SELECT c.faults, c.steps INTO faults, steps FROM taskmill.check_name(
                nodes, node, name, value -> name, place || taskmill.pointer_token(name), depth,
                faults, steps) AS c;
        END LOOP;
    END IF;
END $$;

CREATE FUNCTION taskmill.check_name(
    nodes jsonb, node jsonb, name text, value jsonb, place text, depth integer,
    INOUT faults jsonb, INOUT steps integer
) LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    part jsonb;
    is_known boolean;
BEGIN
    steps = steps + coalesce(jsonb_array_length(node -> 'patterns'), 0) + CASE WHEN length(name) < 1000 THEN 0
        ELSE length(name) / 1000 * (
            SELECT coalesce(sum(jsonb_array_length(one.part -> 0)), 0)
            FROM jsonb_array_elements(node -> 'patterns') AS one (part)) END;
    IF steps > 100000 THEN
        RETURN;
    END IF;
    IF node ? 'names' THEN
        SELECT c.faults, c.steps INTO faults, steps FROM taskmill.check_value(
            nodes, (node -> 'names')::integer, to_jsonb(name), place, depth + 1, faults, steps) AS c;
    END IF;
    is_known = EXISTS (
        SELECT FROM jsonb_array_elements(node -> 'properties') AS one (field)
        WHERE one.field ->> 0 = check_name.name);
    FOR part IN SELECT one.part FROM jsonb_array_elements(node -> 'patterns') AS one (part) LOOP
        IF taskmill.keeps_rule('matches', part -> 0, to_jsonb(name)) THEN
            is_known = true;
            SELECT c.faults, c.steps INTO faults, steps FROM taskmill.check_value(
                nodes, (part -> 1)::integer, value, place, depth + 1, faults, steps) AS c;
        END IF;
    END LOOP;
    IF is_known OR NOT node ? 'others' THEN
        RETURN;
    END IF;
    IF (node -> 'others')::integer < 0 THEN
        faults = taskmill.add_violation(faults, place, node ->> 'others_words', 'an unknown field');
    ELSE
        SELECT c.faults, c.steps INTO faults, steps FROM taskmill.check_value(
            nodes, (node -> 'others')::integer, value, place, depth + 1, faults, steps) AS c;
    END IF;
END $$;

CREATE FUNCTION taskmill.check_union(
    nodes jsonb, alternatives jsonb, value jsonb, place text, depth integer,
    INOUT faults jsonb, INOUT steps integer
) LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    kind constant text = taskmill.json_kind(value);
    tried jsonb[] = '{}';
    near jsonb[] = '{}';
    fitting integer = 0;
    tag constant text = alternatives ->> 'tag';
    told constant jsonb = value -> tag;
    option integer;
    own jsonb;
BEGIN
    FOR option IN SELECT one.number::integer FROM jsonb_array_elements(alternatives -> 'of') AS one (number) LOOP
        SELECT c.faults, c.steps INTO own, steps
        FROM taskmill.check_value(nodes, option, value, place, depth + 1, '[]', steps) AS c;
        tried = tried || own;
        IF own = '[]' THEN
            fitting = fitting + 1;
            IF NOT (alternatives -> 'exactly')::boolean THEN
                RETURN;
            END IF;
        END IF;
        IF NOT nodes -> option ? 'types' OR nodes -> option -> 'types' ? kind THEN
            near = near || own;
        END IF;
    END LOOP;
    IF fitting = 1 THEN
        RETURN;
    END IF;
    IF fitting > 1 THEN
        faults = taskmill.add_violation(faults, place, alternatives ->> 'several_words', 'one that fits several');
    ELSIF tag IS NOT NULL AND kind = 'object' THEN
        IF jsonb_typeof(told) = 'string' AND alternatives -> 'by_tag' ? (told #>> '{}') THEN
            option = (alternatives -> 'by_tag' -> (told #>> '{}'))::integer;
            faults = taskmill.add_violations(faults, tried[option + 1]);
        ELSE
            faults = taskmill.add_violation(
                faults, place || taskmill.pointer_token(tag), alternatives ->> 'tag_words',
                coalesce(taskmill.described(told), 'nothing'));
        END IF;
    ELSIF cardinality(near) = 1 THEN
        faults = taskmill.add_violations(faults, near[1]);
    ELSE
        faults = taskmill.add_violation(faults, place, alternatives ->> 'words', taskmill.described(value));
    END IF;
END $$;

-- The violations of a contract's normal form by a payload, as an array.
CREATE FUNCTION taskmill.contract_violations(form jsonb, payload jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    faults jsonb;
    steps integer;
BEGIN
    SELECT c.faults, c.steps INTO faults, steps
    FROM taskmill.check_value(form, 0, payload, '/payload', 1, '[]', 0) AS c;
    IF steps <= 100000 THEN
        RETURN faults;
    END IF;
    RETURN taskmill.add_violation(
        '[]', '/payload', 'a payload that can be checked in 100,000 steps', 'one that takes more');
END $$;
