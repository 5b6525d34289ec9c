-- Nobody else can make a queue until the transaction ends, if this one is new.
CREATE OR REPLACE FUNCTION taskmill.ensure_queue(wanted text, most integer) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
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

DROP FUNCTION taskmill.refuse_ungranted_queue;

DROP TABLE taskmill.queue_grant;
