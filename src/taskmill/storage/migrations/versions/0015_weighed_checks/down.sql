-- These as the foundation made them.
CREATE OR REPLACE FUNCTION taskmill.check_weight(node jsonb, value jsonb) RETURNS integer
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

CREATE OR REPLACE FUNCTION taskmill.check_value(
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

CREATE OR REPLACE FUNCTION taskmill.check_name(
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

DROP FUNCTION taskmill.match_weight;
