-- As in renames.sql: users' transactions first.
LOCK TABLE taskmill.request_limit IN ACCESS EXCLUSIVE MODE;

ALTER TABLE taskmill.lease RENAME COLUMN request TO asked_to;

ALTER INDEX taskmill.dispatch_bucket RENAME TO dispatch_lane;

ALTER INDEX taskmill.task_cancel_requested RENAME TO task_cancel_asked;

ALTER TABLE taskmill.task_event RENAME COLUMN event TO happening;

ALTER TABLE taskmill.task_minute_delta RENAME COLUMN event TO happening;

ALTER TABLE taskmill.task_callback RENAME COLUMN endpoint TO lane;

ALTER TABLE taskmill.webhook_delivery RENAME COLUMN endpoint TO lane;

ALTER TABLE taskmill.webhook_delivery RENAME COLUMN response_status TO answer;

ALTER INDEX taskmill.webhook_delivery_endpoint RENAME TO webhook_delivery_lane;

ALTER TABLE taskmill.feed_delivery RENAME COLUMN follower TO place;

ALTER TABLE taskmill.rejection RENAME COLUMN source TO door;

ALTER TABLE taskmill.contract_revision RENAME COLUMN scope TO place;

ALTER TABLE taskmill.request_limit RENAME COLUMN scope TO place;

ALTER TABLE taskmill.request_limit RENAME CONSTRAINT request_limit_pkey TO door_limit_pkey;

ALTER TABLE taskmill.request_limit RENAME TO door_limit;

-- Notifies relays and workers that poll seldom because nothing has changed lately: nobody else notifies them of a
-- task that comes in a caller's transaction. While something changes they poll often, and NOTIFY, which holds a
-- lock over all commits, is left out. It comes before what the caller changes. A transaction that has notified can't
-- be prepared for a two-phase commit: where such transactions are allowed nobody polls seldom.
CREATE FUNCTION taskmill.ring_if_quiet() RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    passed bigint;
BEGIN
    IF current_setting('max_prepared_transactions') <> '0' THEN
        RETURN;
    END IF;
    -- Above READ COMMITTED the snapshot may be old; and two who read here where both then insert would be refused as
    -- not serializable.
    IF current_setting('transaction_isolation') IN ('read committed', 'read uncommitted') THEN
        SELECT last_value - 200 INTO passed FROM taskmill.change_batch_id_seq WHERE is_called;
        -- Of more it would walk over all that others have under way. Where it sees none among these, others are busy.
        IF FOUND AND coalesce(
            (SELECT at FROM taskmill.change_batch WHERE id > passed ORDER BY id DESC LIMIT 1),
            'infinity') > clock_timestamp() - interval '1 second'
        THEN
            RETURN;
        END IF;
    END IF;
    PERFORM pg_notify('taskmill_dispatch', ''), pg_notify('taskmill_changes', '');
END $$;

REVOKE ALL ON FUNCTION taskmill.ring_if_quiet FROM PUBLIC;

DROP FUNCTION taskmill.notify_if_idle;
