-- Wakes those who look seldom because nothing has happened lately: a task of a caller's transaction rings for nobody
-- else. While something happens they look often, and NOTIFY, which holds a lock over all commits, is spared. It comes
-- before what the caller changes. A transaction that has rung can't be prepared for a two-phase commit: where these are
-- allowed nobody looks seldom.
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
