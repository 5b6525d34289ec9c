-- The end that a process of before records of a claim of today would lose the claim.
DO $$
BEGIN
    IF EXISTS (
        SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'taskmill' AND pid <> pg_backend_pid()
    ) THEN
        RAISE EXCEPTION 'processes of Taskmill are connected: stop them first, then migrate';
    END IF;
END $$;

-- Of the task's next change after a claim: when that was. Without it, the others mean nothing. They say what was
-- different at the claim, and are null where it was the same.
ALTER TABLE taskmill.task_event
    ADD COLUMN claimed_at timestamptz,
    ADD COLUMN claimed_by text,
    -- As in the columns beside them.
    -- squawk-ignore prefer-bigint-over-int
    ADD COLUMN claimed_attempt integer, ADD COLUMN claimed_losses integer,
    ADD COLUMN claimed_run_at timestamptz,
    ADD COLUMN claimed_reason text;

-- Of what runs now, the claims are moved below. A default is for one that has no row in the history.
ALTER TABLE taskmill.running
    -- As in the columns beside them.
    -- squawk-ignore prefer-bigint-over-int
    ADD COLUMN run integer NOT NULL DEFAULT 1, ADD COLUMN losses integer NOT NULL DEFAULT 0,
    ADD COLUMN run_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN claimed_by text NOT NULL DEFAULT '',
    ADD COLUMN claimed_reason text;

ALTER TABLE taskmill.running
    -- Nobody runs.
    -- squawk-ignore ban-drop-default
    ALTER run DROP DEFAULT, ALTER losses DROP DEFAULT, ALTER run_at DROP DEFAULT, ALTER claimed_by DROP DEFAULT;

DROP TRIGGER running_change ON taskmill.running;

-- Else the plan may read the whole history: whatever `running` had when it was analysed.
SET LOCAL enable_seqscan = off;

SET LOCAL enable_hashjoin = off;

SET LOCAL enable_mergejoin = off;

UPDATE taskmill.running AS r
SET run = e.run, losses = e.losses, run_at = e.run_at, claimed_by = e.worker, claimed_reason = e.reason
FROM taskmill.task_event AS e
WHERE e.task_id = r.task_id
    AND e.version = r.version - (r.cancel_requested_at IS NOT NULL)::integer
    AND e.event = 'claimed';

DELETE FROM taskmill.task_event AS e
USING taskmill.running AS r
WHERE e.task_id = r.task_id AND e.version = r.version AND e.event = 'claimed';

CREATE TRIGGER running_change AFTER UPDATE ON taskmill.running FOR EACH ROW
WHEN (NOT (
    OLD.cancel_requested_at IS NULL AND NEW.cancel_requested_at IS NOT NULL AND NEW.version = OLD.version + 1
    AND (NEW.task_id, NEW.lease_id, NEW.claim_no, NEW.attempt, NEW.started_at, NEW.queue)
        = (OLD.task_id, OLD.lease_id, OLD.claim_no, OLD.attempt, OLD.started_at, OLD.queue)
    AND (NEW.run, NEW.losses, NEW.run_at, NEW.claimed_by) = (OLD.run, OLD.losses, OLD.run_at, OLD.claimed_by)
    AND NEW.claimed_reason IS NOT DISTINCT FROM OLD.claimed_reason))
EXECUTE FUNCTION taskmill.refuse_running_change();

-- The history of tasks, one row for each version. A claim has no row of its own in `task_event`: the one of the
-- task's next change (which ends the attempt, or requests that it be cancelled) has its facts as well, and `running`
-- has them until then. Of claims from before this migration `task_event` has rows.
-- So the parts are: claims that run, all changes but these, and the claims before them. A row of `running` whose task
-- has ended, or is not there, is none: ends ignore it, too. That a row of `task_event` has a claim is asked outside of
-- the parts, or PostgreSQL would sort the whole history of a task to read its first page.
-- `row_version` is the version of the row that an entry is from, by which the index finds it: for the entry of
-- version 7 that is 7, or 8 if it is a claim. In the order of (row_version, version) they are ordered by version, too.
CREATE VIEW taskmill.task_history AS
SELECT
    task_id, version, at, event, status, run, attempt, losses, claim_no, run_at, lease_id, worker, reason, error,
    row_version
FROM (
    SELECT
        r.task_id, r.version, r.started_at AS at, 'claimed' AS event, 'in_progress' AS status, r.run, r.attempt,
        r.losses, r.claim_no, r.run_at, r.lease_id, r.claimed_by AS worker, r.claimed_reason AS reason,
        NULL::jsonb AS error, r.version AS row_version
    FROM taskmill.running AS r
    WHERE r.cancel_requested_at IS NULL
        AND (SELECT t.version FROM taskmill.task AS t WHERE t.id = r.task_id AND t.final_status IS NULL) IS NOT NULL
    UNION ALL
    SELECT
        task_id, version, at, event, status, run, attempt, losses, claim_no, run_at, lease_id, worker, reason, error,
        version
    FROM taskmill.task_event
    UNION ALL
    SELECT
        task_id, version - 1, claimed_at, 'claimed', 'in_progress', run, coalesce(claimed_attempt, attempt),
        coalesce(claimed_losses, losses), claim_no, coalesce(claimed_run_at, run_at), lease_id,
        coalesce(claimed_by, worker), claimed_reason, NULL, version
    FROM taskmill.task_event
) AS entry
WHERE at IS NOT NULL
