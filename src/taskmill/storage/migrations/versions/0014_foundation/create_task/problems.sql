-- Refuses with a problem (RFC 9457), as the API does: the message is for people, the problem is in DETAIL.
CREATE FUNCTION taskmill.refuse(slug text, status integer, title text, detail text, members jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    shown constant text = taskmill.plain_text(taskmill.cut_text(detail, 500));
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'invalid_parameter_value',
        MESSAGE = title || '. ' || shown,
        DETAIL = jsonb_build_object(
            'type', '/problems/' || slug, 'title', title, 'status', status, 'detail', shown) || members;
END $$;

CREATE FUNCTION taskmill.refuse_violations(faults jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    first constant jsonb = faults -> 0;
    more constant integer = jsonb_array_length(faults) - 1;
BEGIN
    PERFORM taskmill.refuse(
        'invalid-input', 422, 'The request says something that is not allowed',
        coalesce(nullif(first ->> 'pointer', ''), 'the body') || ': expected ' || (first ->> 'expected')
            || ', got ' || (first ->> 'got') || CASE WHEN more > 0 THEN ' (and ' || more || ' more)' ELSE '' END,
        jsonb_build_object('errors', (
            SELECT jsonb_agg(jsonb_build_object(
                'pointer', taskmill.cut_text(one.violation ->> 'pointer', 200),
                'expected', one.violation ->> 'expected',
                'got', taskmill.cut_text(one.violation ->> 'got', 200)) ORDER BY one.place)
            FROM jsonb_array_elements(faults) WITH ORDINALITY AS one (violation, place))));
END $$;

CREATE FUNCTION taskmill.refuse_json(detail text) RETURNS void
LANGUAGE sql AS $$ SELECT taskmill.refuse('malformed-json', 400, 'The body is not strict JSON', detail, '{}') $$;
