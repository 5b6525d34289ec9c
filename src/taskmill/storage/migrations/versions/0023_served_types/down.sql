-- Nobody else can record a type that is new until the transaction ends.
CREATE OR REPLACE FUNCTION taskmill.ensure_type(wanted text, most integer) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF wanted IN ('emulate', 'http')
        OR EXISTS (SELECT FROM taskmill.task_type AS t WHERE t.name = wanted)
        OR EXISTS (
            SELECT FROM taskmill.lease AS l
            WHERE l.closed_at IS NULL AND l.expires_at > clock_timestamp()
                AND (wanted = ANY(l.types) OR '*' = ANY(l.types)))
        OR EXISTS (
            SELECT FROM taskmill.unserved_type AS u
            WHERE u.name = wanted AND u.noted_at > now() - interval '5 minutes')
    THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('taskmill.unserved_type'));
    UPDATE taskmill.unserved_type AS u SET noted_at = now() WHERE u.name = wanted;
    IF FOUND THEN
        RETURN;
    END IF;
    INSERT INTO taskmill.unserved_type (name)
    SELECT wanted WHERE (SELECT count(*) FROM taskmill.unserved_type) < most
    ON CONFLICT (name) DO NOTHING;
    IF NOT FOUND THEN
        PERFORM taskmill.refuse_request(
            'unserved-type-limit-reached', 'No more types may wait without a contract or a worker',
            'tasks of ' || most || ' types without a contract and without a live worker wait already, and no more '
                || 'such types may: start a worker for the type, or register a contract',
            jsonb_build_object('limit', most));
    END IF;
END $$;

DROP VIEW taskmill.served_type;

DROP INDEX taskmill.lease_worker_closed;

DROP TABLE taskmill.pulled_type;
