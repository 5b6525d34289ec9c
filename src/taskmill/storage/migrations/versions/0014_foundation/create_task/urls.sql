-- What a valid address is, in words.
CREATE FUNCTION taskmill.url_words() RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT 'an absolute http or https address of at most 2,048 printable ASCII characters, with a host, '
        || 'without user, password or fragment'
$$;

-- An IPv6 address as Python's `ipaddress` writes it, null if it is not valid. Lower case, without a scope.
CREATE FUNCTION taskmill.ipv6_text(written text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
DECLARE
    octet constant text = '(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])';
    ipv4 constant text[] = regexp_match(
        written COLLATE "C", '^(.*:)' || octet || '[.]' || octet || '[.]' || octet || '[.]' || octet || '$');
    hex constant text = CASE WHEN ipv4 IS NULL THEN written ELSE ipv4[1]
        || to_hex(ipv4[2]::integer * 256 + ipv4[3]::integer) || ':'
        || to_hex(ipv4[4]::integer * 256 + ipv4[5]::integer) END;
    halves constant text[] = string_to_array(hex, '::');
    ahead constant text[] = string_to_array(halves[1], ':');
    behind constant text[] = string_to_array(halves[2], ':');
    missing constant integer = 8 - cardinality(ahead) - coalesce(cardinality(behind), 0);
    groups text[];
    zeros text;
    shown text;
    at integer;
BEGIN
    IF cardinality(halves) > 2 OR missing < cardinality(halves) - 1 OR (cardinality(halves) = 1 AND missing > 0)
        OR EXISTS (
            SELECT FROM unnest(ahead || behind) AS one (digits)
            WHERE one.digits COLLATE "C" !~ '^[0-9a-f]{1,4}$')
    THEN
        RETURN NULL;
    END IF;
    groups = ARRAY(
        SELECT coalesce(nullif(ltrim(one.digits, '0'), ''), '0')
        FROM unnest(ahead || array_fill('0'::text, ARRAY[missing]) || behind) WITH ORDINALITY AS one (digits, place)
        ORDER BY one.place);
    IF groups[1:6] = '{0,0,0,0,0,ffff}' THEN
        RETURN '::ffff:' || (
            SELECT string_agg(get_byte(decode(lpad(one.digits, 4, '0'), 'hex'), 0) || '.'
                || get_byte(decode(lpad(one.digits, 4, '0'), 'hex'), 1), '.' ORDER BY one.place)
            FROM unnest(groups[7:8]) WITH ORDINALITY AS one (digits, place));
    END IF;
    shown = ':' || array_to_string(groups, ':') || ':';
    FOR size IN REVERSE 8 .. 2 LOOP
        zeros = repeat('0:', size);
        at = strpos(shown, ':' || zeros);
        IF at > 0 THEN
            RETURN ltrim(left(shown, at - 1), ':') || '::' || rtrim(substr(shown, at + 1 + length(zeros)), ':');
        END IF;
    END LOOP;
    RETURN btrim(shown, ':');
END $$;

-- Scheme, host and port of a valid address, null if it is not valid: `wire/urls.py`.
CREATE FUNCTION taskmill.url_origin(url text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
DECLARE
    octet constant text = '(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])';
    label constant text = '[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?';
    parts text[];
    scheme text;
    host text;
    port text;
BEGIN
    IF length(url) > 2048 OR url COLLATE "C" !~ '^[!-~]+$' OR url ~ '[\\#]' THEN
        RETURN NULL;
    END IF;
    parts = regexp_match(
        url COLLATE "C", '^(https?)://(?:([a-z0-9_.-]+)|\[([0-9a-f:.]+)\])(?::([0-9]+))?(?:[/?].*)?$', 'i');
    IF parts IS NULL THEN
        RETURN NULL;
    END IF;
    scheme = lower(parts[1]);
    port = coalesce(ltrim(parts[4], '0'), CASE scheme WHEN 'http' THEN '80' ELSE '443' END);
    IF port = '' OR length(port) > 5 OR lpad(port, 5, '0') COLLATE "C" > '65535' THEN
        RETURN NULL;
    END IF;
    IF parts[3] IS NOT NULL THEN
        host = taskmill.ipv6_text(lower(parts[3]));
        RETURN scheme || '://[' || host || ']:' || port;
    END IF;
    host = regexp_replace(lower(parts[2]), '[.]$', '');
    IF host COLLATE "C" ~ '^(.*[.])?([0-9]+|0x[0-9a-f]*)$' THEN
        IF host COLLATE "C" !~ ('^' || octet || '([.]' || octet || '){3}$') THEN
            RETURN NULL;
        END IF;
    ELSIF length(host) > 253 OR host COLLATE "C" !~ ('^' || label || '([.]' || label || ')*$') THEN
        RETURN NULL;
    END IF;
    RETURN scheme || '://' || host || ':' || port;
END $$;
