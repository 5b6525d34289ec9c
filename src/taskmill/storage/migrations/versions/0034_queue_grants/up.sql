-- The queues in which the members of a role may create tasks by SQL; `mail.*` is each whose name begins with `mail.`.
-- A login that is in no role with a row here may name every queue.
CREATE TABLE taskmill.queue_grant (
    role text NOT NULL,
    queue text NOT NULL,
    PRIMARY KEY (role, queue)
);

-- The caller is the login: in create_task, which runs as its owner, the current user is that owner.
CREATE FUNCTION taskmill.refuse_ungranted_queue(wanted text) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
    granted text[];
BEGIN
    SELECT array_agg(g.queue) INTO granted
    FROM taskmill.queue_grant AS g
    INNER JOIN pg_catalog.pg_roles AS r ON r.rolname = g.role
    WHERE pg_has_role(session_user, r.oid, 'MEMBER')
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles AS s WHERE s.rolname = session_user AND s.rolsuper);
    IF granted IS NOT NULL AND NOT EXISTS (
        SELECT FROM unnest(granted) AS pattern
        WHERE wanted = pattern OR (right(pattern, 1) = '*' AND starts_with(wanted, left(pattern, -1)))
    ) THEN
        RAISE EXCEPTION '% may not create tasks in the queue %', session_user, wanted
            USING ERRCODE = 'insufficient_privilege';
    END IF;
END $$;

-- Nobody else can make a queue until the transaction ends, if this one is new.
CREATE OR REPLACE FUNCTION taskmill.ensure_queue(wanted text, most integer) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM taskmill.refuse_ungranted_queue(wanted);
    IF EXISTS (SELECT FROM taskmill.queue AS q WHERE q.name = wanted) THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('taskmill.queue'));
    PERFORM pg_advisory_xact_lock(hashtext('taskmill.queue'), hashtext(wanted));
    INSERT INTO taskmill.queue (name)
    SELECT wanted WHERE (SELECT count(*) FROM taskmill.queue) < most
    ON CONFLICT (name) DO NOTHING;
    IF NOT FOUND AND NOT EXISTS (SELECT FROM taskmill.queue AS q WHERE q.name = wanted) THEN
        PERFORM taskmill.refuse_request('queue-limit-reached', 'No more queues may be made',
            'there are ' || most || ' queues already, and no more may be made', jsonb_build_object('limit', most));
    END IF;
END $$;

REVOKE ALL ON FUNCTION taskmill.refuse_ungranted_queue FROM PUBLIC;
