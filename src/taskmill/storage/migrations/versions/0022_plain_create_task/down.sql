-- What comes back is in the migrations that had it before; here is what these can't make beside what is there.
DROP FUNCTION
    taskmill.contract_of, taskmill.refuse_request, taskmill.refuse_field, taskmill.bounded_object,
    taskmill.new_task_id, taskmill.ensure_queue, taskmill.task_of_key;

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
    SELECT wanted WHERE (SELECT count(*) FROM taskmill.unserved_type) < most;
    IF NOT FOUND THEN
        PERFORM taskmill.refuse(
            'unserved-type-limit-reached', 422, 'No more types may wait without a contract or a worker',
            'tasks of ' || most || ' types without a contract and without a live worker wait already, and no more '
                || 'such types may: start a worker for the type, or register a contract',
            jsonb_build_object('limit', most));
    END IF;
END $$;
