-- Whether a value is a list of HTTP statuses, or of classes of them.
CREATE FUNCTION taskmill.is_statuses(value jsonb, least_statuses integer) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    status jsonb;
    fits boolean;
BEGIN
    IF jsonb_typeof(value) <> 'array' THEN
        RETURN false;
    END IF;
    IF jsonb_array_length(value) NOT BETWEEN least_statuses AND 100 THEN
        RETURN false;
    END IF;
    FOR status IN SELECT one.status FROM jsonb_array_elements(value) AS one (status) LOOP
        fits = CASE jsonb_typeof(status)
            WHEN 'number' THEN scale(status::numeric) = 0 AND status::numeric BETWEEN 200 AND 599
            WHEN 'string' THEN (status #>> '{}') COLLATE "C" ~ '^[2-5]xx$'
            ELSE false END;
        IF NOT fits THEN
            RETURN false;
        END IF;
    END LOOP;
    RETURN true;
END $$;

-- Whether a header may be given: it is a valid name, and not one that Taskmill or HTTP itself sets.
CREATE FUNCTION taskmill.is_free_header(name text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT AS $$
    SELECT name COLLATE "C" ~ '^[!#$%&''*+.^_`|~0-9A-Za-z-]{1,100}$'
        AND lower(name COLLATE "C") !~ '^(proxy-|webhook-|taskmill-)'
        AND lower(name COLLATE "C") <> ALL (ARRAY[
            'host', 'content-length', 'transfer-encoding', 'connection', 'keep-alive', 'te', 'trailer', 'upgrade',
            'expect', 'accept-encoding', 'content-encoding', 'traceparent'])
$$;

CREATE FUNCTION taskmill.header_violations(written json, headers jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    expected constant text = 'an object of at most 50 headers, each a name and up to 4,096 printable ASCII characters; '
        || 'not those that HTTP itself needs, nor webhook-, taskmill- or proxy-';
    faults jsonb = '[]';
    name text;
BEGIN
    IF jsonb_typeof(headers) <> 'object' THEN
        RETURN taskmill.add_violation(faults, '/payload/headers', expected, taskmill.described(headers));
    END IF;
    FOR name IN
        SELECT one.name FROM json_object_keys(written) WITH ORDINALITY AS one (name, place)
        WHERE jsonb_typeof(headers -> one.name) <> 'string'
        ORDER BY one.place
        LIMIT 100
    LOOP
        faults = taskmill.add_violation(faults, '/payload/headers' || taskmill.pointer_token(name), expected,
            taskmill.described(headers -> name));
    END LOOP;
    IF faults <> '[]' THEN
        RETURN faults;
    END IF;
    IF (SELECT count(*) > 50 OR count(DISTINCT lower(one.key COLLATE "C")) < count(*)
            OR NOT coalesce(bool_and(taskmill.is_free_header(one.key) AND length(one.value) <= 4096
                AND one.value COLLATE "C" ~ '^[ -~]*$'), true)
        FROM jsonb_each_text(headers) AS one)
    THEN
        RETURN taskmill.add_violation(faults, '/payload/headers', expected, taskmill.described(headers));
    END IF;
    RETURN faults;
END $$;

-- The violations in the payload of a task of type `http`: `wire/push.py`. `written` has the names in their order.
CREATE FUNCTION taskmill.push_violations(written json, payload jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    known constant text[] = '{url,method,headers,body,text,timeout_s,expect,retry_on}';
    methods constant text[] = '{POST,PUT,PATCH,DELETE,GET,HEAD}';
    statuses constant text = 'a list of up to 100 statuses from 200 to 599, or of classes such as 5xx';
    faults jsonb = '[]';
BEGIN
    IF jsonb_typeof(payload -> 'url') IS DISTINCT FROM 'string' OR taskmill.url_origin(payload ->> 'url') IS NULL THEN
        faults = taskmill.add_violation(
            faults, '/payload/url', taskmill.url_words(),
            coalesce(taskmill.described(payload -> 'url'), 'nothing'));
    END IF;
    IF payload ? 'method' AND (
        jsonb_typeof(payload -> 'method') <> 'string' OR payload ->> 'method' <> ALL (methods))
    THEN
        faults = taskmill.add_violation(faults, '/payload/method', 'one of ' || array_to_string(methods, ', '),
            taskmill.shown(payload -> 'method'));
    END IF;
    IF payload ? 'headers' THEN
        faults = taskmill.add_violations(
            faults, taskmill.header_violations(written -> 'headers', payload -> 'headers'));
    END IF;
    IF jsonb_typeof(payload -> 'text') NOT IN ('string', 'null') THEN
        faults = taskmill.add_violation(
            faults, '/payload/text', 'a string', taskmill.described(payload -> 'text'));
    END IF;
    IF jsonb_typeof(payload -> 'timeout_s') <> 'null' AND NOT (
        taskmill.number_between(payload -> 'timeout_s', 0, 604800) AND payload -> 'timeout_s' > '0')
    THEN
        faults = taskmill.add_violation(faults, '/payload/timeout_s',
            'a number of seconds over 0, at most 604,800 (a week)', taskmill.shown(payload -> 'timeout_s'));
    END IF;
    IF payload ? 'expect' AND NOT taskmill.is_statuses(payload -> 'expect', 1) THEN
        faults = taskmill.add_violation(
            faults, '/payload/expect', statuses, taskmill.described(payload -> 'expect'));
    END IF;
    IF payload ? 'retry_on' AND NOT taskmill.is_statuses(payload -> 'retry_on', 0) THEN
        faults = taskmill.add_violation(
            faults, '/payload/retry_on', statuses, taskmill.described(payload -> 'retry_on'));
    END IF;
    faults = taskmill.add_unknown_fields(faults, '/payload', written, known);
    IF jsonb_typeof(payload -> 'text') <> 'null' AND payload ? 'body' THEN
        faults = taskmill.add_violation(faults, '/payload/text', 'either body or text', 'both');
    END IF;
    RETURN faults;
END $$;
