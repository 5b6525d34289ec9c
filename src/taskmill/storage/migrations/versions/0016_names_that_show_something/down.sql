-- As the foundation made it.
CREATE OR REPLACE FUNCTION taskmill.request_violations(
    name text, description text, type text, written json, payload jsonb, queue text, priority integer,
    run_at timestamptz, delay_s double precision, max_attempts integer, max_losses integer, written_retry json,
    retry jsonb, timeout_s double precision, expires_at timestamptz, callback_url text, written_labels json,
    labels jsonb, idempotency_key text, limits taskmill.door_limit
) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
    slug constant text = '^[a-z0-9][a-z0-9._-]{0,62}$';
    slug_words constant text = '1 to 63 characters a-z, 0-9, ''.'', ''_'' or ''-'', the first a letter or a digit';
    time_words constant text = 'an RFC 3339 time with a time zone (such as 2030-01-31T09:00:00Z or '
        || U&'\2026' || '+03:00), of the years 2000 to 2100';
    earliest constant timestamptz = '2000-01-01 00:00:00+00';
    latest constant timestamptz = '2101-01-01 00:00:00+00';
    faults jsonb = '[]';
    wrong record;
    label_count bigint;
BEGIN
    FOR wrong IN SELECT w.place, w.expected, w.got FROM (VALUES
        (coalesce(length(name) NOT BETWEEN 1 AND 200, true), '/name', 'a string of 1 to 200 characters',
            coalesce(taskmill.described(to_jsonb(name)), 'nothing')),
        (length(description) > 10000, '/description', 'a string of at most 10,000 characters, or null',
            taskmill.described(to_jsonb(description))),
        (type COLLATE "C" !~ slug, '/type', slug_words, taskmill.described_text(type)),
        (jsonb_typeof(payload) NOT IN ('object', 'null'), '/payload', 'an object, or null',
            taskmill.described(payload)),
        (queue COLLATE "C" !~ slug, '/queue', slug_words, taskmill.described_text(queue)),
        (priority NOT BETWEEN 0 AND 9, '/priority', 'a whole number from 0 to 9 (the most urgent)',
            'the number ' || priority),
        (run_at < earliest OR run_at >= latest, '/run_at', time_words, taskmill.described_time(run_at)),
        (delay_s NOT BETWEEN 0 AND 31536000, '/delay_s',
            'a number of seconds from 0 to 31,536,000 (a year)', 'the number ' || delay_s),
        (max_attempts NOT BETWEEN 1 AND 1000, '/max_attempts', 'a whole number from 1 to 1,000',
            'the number ' || max_attempts),
        (max_losses NOT BETWEEN 0 AND 100, '/max_losses', 'a whole number from 0 to 100',
            'the number ' || max_losses)) AS w (is_wrong, place, expected, got)
        WHERE w.is_wrong
    LOOP
        faults = taskmill.add_violation(faults, wrong.place, wrong.expected, wrong.got);
    END LOOP;
    IF retry IS NOT NULL THEN
        faults = taskmill.add_violations(faults, taskmill.retry_violations(written_retry, retry));
    END IF;
    IF NOT (timeout_s > 0 AND timeout_s <= 604800) THEN
        faults = taskmill.add_violation(faults, '/timeout_s',
            'a number of seconds over 0, at most 604,800 (a week)', 'the number ' || timeout_s);
    END IF;
    IF expires_at < earliest OR expires_at >= latest THEN
        faults = taskmill.add_violation(faults, '/expires_at', time_words, taskmill.described_time(expires_at));
    END IF;
    IF callback_url IS NOT NULL AND taskmill.url_origin(callback_url) IS NULL THEN
        faults = taskmill.add_violation(
            faults, '/callback_url', taskmill.url_words(), taskmill.described(to_jsonb(callback_url)));
    END IF;
    IF labels IS NOT NULL THEN
        faults = taskmill.add_violations(faults, taskmill.label_violations(written_labels, labels));
    END IF;
    IF length(idempotency_key) NOT BETWEEN 1 AND 255 THEN
        faults = taskmill.add_violation(faults, '/idempotency_key',
            'a string of 1 to 255 characters, or null', taskmill.described(to_jsonb(idempotency_key)));
    END IF;
    IF delay_s IS NOT NULL AND run_at IS NOT NULL THEN
        faults = taskmill.add_violation(faults, '/delay_s', 'either run_at or delay_s', 'both');
    END IF;
    IF expires_at <= run_at THEN
        faults = taskmill.add_violation(
            faults, '/expires_at', 'a time after run_at', taskmill.described_time(expires_at));
    END IF;
    IF jsonb_typeof(labels) = 'object' THEN
        label_count = (SELECT count(*) FROM jsonb_object_keys(labels));
        IF label_count > limits.labels THEN
            faults = taskmill.add_violation(faults, '/labels', 'at most ' || limits.labels || ' labels',
                taskmill.counted(label_count, 'label'));
        END IF;
    END IF;
    IF coalesce(type, 'emulate') = 'emulate' AND jsonb_typeof(payload) = 'object' THEN
        faults = taskmill.add_violations(faults, taskmill.emulation_violations(payload));
    ELSIF type = 'http' AND jsonb_typeof(payload) = 'object' THEN
        faults = taskmill.add_violations(faults, taskmill.push_violations(written, payload));
    ELSIF type = 'http' AND coalesce(jsonb_typeof(payload), 'null') = 'null' THEN
        faults = taskmill.add_violation(
            faults, '/payload', 'an object that has at least a url', 'nothing');
    END IF;
    IF length(idempotency_key) NOT BETWEEN 1 AND limits.idempotency_key_chars
        OR idempotency_key ~ ('[\u0001-\u001F\u007F-\u00A0\u00AD\u2000-\u200F\u2028-\u202F'
            || '\u205F-\u206F\u3000\uFEFF]')
    THEN
        faults = taskmill.add_violation(faults, '/idempotency_key',
            '1 to ' || limits.idempotency_key_chars || ' printable characters', CASE
                WHEN length(idempotency_key) NOT BETWEEN 1 AND limits.idempotency_key_chars
                    THEN taskmill.described(to_jsonb(idempotency_key))
                ELSE 'unprintable characters' END);
    END IF;
    RETURN faults;
END $$;
