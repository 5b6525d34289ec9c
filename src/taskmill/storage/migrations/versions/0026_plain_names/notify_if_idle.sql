-- Notifies relays and workers that poll seldom because nothing has changed lately: nobody else notifies them of a
-- task that comes in a caller's transaction. While something changes they poll often, and NOTIFY, which holds a
-- lock over all commits, is left out. It comes before what the caller changes. A transaction that has notified can't
-- be prepared for a two-phase commit: where such transactions are allowed nobody polls seldom.
CREATE FUNCTION taskmill.notify_if_idle() RETURNS void
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

REVOKE ALL ON FUNCTION taskmill.notify_if_idle FROM PUBLIC;

DROP FUNCTION taskmill.ring_if_quiet;
