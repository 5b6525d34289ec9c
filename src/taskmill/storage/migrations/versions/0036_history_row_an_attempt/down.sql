-- All processes are stopped, so nobody waits for it. It writes a row for each claim.
SET LOCAL lock_timeout = '1min';

SET LOCAL statement_timeout = '1h';

INSERT INTO taskmill.task_event (
    task_id, version, at, event, status, run, attempt, losses, claim_no, run_at, lease_id, worker, reason
)
SELECT task_id, version, at, event, status, run, attempt, losses, claim_no, run_at, lease_id, worker, reason
FROM taskmill.task_history
WHERE event = 'claimed'
ON CONFLICT DO NOTHING;

DROP VIEW taskmill.task_history;

DROP TRIGGER running_change ON taskmill.running;

ALTER TABLE taskmill.task_event
    DROP COLUMN claimed_at,
    DROP COLUMN claimed_by,
    DROP COLUMN claimed_attempt,
    DROP COLUMN claimed_losses,
    DROP COLUMN claimed_run_at,
    DROP COLUMN claimed_reason;

ALTER TABLE taskmill.running
    DROP COLUMN run,
    DROP COLUMN losses,
    DROP COLUMN run_at,
    DROP COLUMN claimed_by,
    DROP COLUMN claimed_reason;

CREATE TRIGGER running_change AFTER UPDATE ON taskmill.running FOR EACH ROW
WHEN (NOT (
    OLD.cancel_requested_at IS NULL AND NEW.cancel_requested_at IS NOT NULL AND NEW.version = OLD.version + 1
    AND (NEW.task_id, NEW.lease_id, NEW.claim_no, NEW.attempt, NEW.started_at, NEW.queue)
        = (OLD.task_id, OLD.lease_id, OLD.claim_no, OLD.attempt, OLD.started_at, OLD.queue)))
EXECUTE FUNCTION taskmill.refuse_running_change()
