-- Wakes those who look seldom because nothing has happened lately: a task of a caller's transaction rings for nobody
-- else. While something happens they look often, and NOTIFY, which holds a lock over all commits, is spared. It comes
-- before what the caller changes. A transaction that has rung can't be prepared for a two-phase commit: where these are
-- allowed nobody looks seldom.
CREATE FUNCTION taskmill.ring_if_quiet() RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF current_setting('max_prepared_transactions') = '0' AND NOT EXISTS (
        SELECT FROM (SELECT at FROM taskmill.change_batch ORDER BY id DESC LIMIT 1) AS latest
        WHERE latest.at > clock_timestamp() - interval '1 second'
    ) THEN
        PERFORM pg_notify('taskmill_dispatch', ''), pg_notify('taskmill_changes', '');
    END IF;
END $$;
