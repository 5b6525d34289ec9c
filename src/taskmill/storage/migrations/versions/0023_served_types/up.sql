CREATE TABLE taskmill.pulled_type (
    name text NOT NULL PRIMARY KEY,
    pulled_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX lease_worker_closed ON taskmill.lease (closed_at) WHERE NOT remote;

-- A worker that restarts is away for a while, and one that pulls over HTTP has no lease while it waits.
CREATE VIEW taskmill.served_type AS
SELECT unnest(types) AS type FROM taskmill.lease WHERE closed_at IS NULL
UNION ALL
SELECT unnest(types) FROM taskmill.lease WHERE NOT remote AND closed_at > now() - interval '1 hour'
UNION ALL
SELECT name FROM taskmill.pulled_type WHERE pulled_at > now() - interval '1 hour'
UNION ALL
SELECT name FROM taskmill.task_type;

-- No other caller can record a type that is new until the transaction ends. Programs don't wait for that: by the
-- second lock, which is the type's own, they see that it is being recorded.
CREATE OR REPLACE FUNCTION taskmill.ensure_type(wanted text, most integer) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF wanted IN ('emulate', 'http')
        OR EXISTS (SELECT FROM taskmill.task_type AS t WHERE t.name = wanted)
        OR EXISTS (
            SELECT FROM taskmill.unserved_type AS u
            WHERE u.name = wanted AND u.noted_at > now() - interval '5 minutes')
        OR EXISTS (SELECT FROM taskmill.served_type AS s WHERE s.type IN (wanted, '*'))
    THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('taskmill.unserved_type'));
    PERFORM pg_advisory_xact_lock(hashtext('taskmill.unserved_type'), hashtext(wanted));
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
