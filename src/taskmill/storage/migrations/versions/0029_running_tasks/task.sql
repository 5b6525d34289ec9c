-- All processes are stopped, so nobody waits for the locks of this and of what follows.
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX
    taskmill.task_status_id, taskmill.task_queue_status_id, taskmill.task_type_status_id,
    taskmill.task_queue_type_status, taskmill.task_cancel_requested;

-- It is in `running` now.
-- squawk-ignore ban-drop-column
ALTER TABLE taskmill.task DROP COLUMN lease_id;

-- Nobody waits.
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE taskmill.task ADD CONSTRAINT task_final_status CHECK (final_status IN ('succeeded', 'failed', 'cancelled'));

-- Nobody waits.
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE taskmill.task ADD CONSTRAINT task_finished_when_ended CHECK ((finished_at IS NULL) = (final_status IS NULL));

-- Lists of ended tasks, newest first. The others are in `dispatch` or `running`, which are small.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX task_ended ON taskmill.task (final_status, id) WHERE final_status IS NOT NULL;

-- The same, by queue.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX task_queue_ended ON taskmill.task (queue, final_status, id) WHERE final_status IS NOT NULL;

-- The same, by type.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX task_type_ended ON taskmill.task (type, final_status, id) WHERE final_status IS NOT NULL;

-- Rare pairs of queue and type. Without an order, equal entries are stored once.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX task_queue_type_ended ON taskmill.task (queue, type, final_status) WHERE final_status IS NOT NULL;

CREATE OR REPLACE FUNCTION taskmill.refuse_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'task % may not go from % (run %, version %, claim %) to % (run %, version %, claim %)',
        OLD.id, coalesce(OLD.final_status, 'unfinished'), OLD.run, OLD.version, OLD.claim_no,
        coalesce(NEW.final_status, 'unfinished'), NEW.run, NEW.version, NEW.claim_no
        USING ERRCODE = 'check_violation', CONSTRAINT = 'task_transition';
END $$;

CREATE OR REPLACE FUNCTION taskmill.refuse_birth() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'task % must begin unfinished, version 1, not as %, version %',
        NEW.id, coalesce(NEW.final_status, 'unfinished'), NEW.version
        USING ERRCODE = 'check_violation', CONSTRAINT = 'task_transition';
END $$;

CREATE FUNCTION taskmill.refuse_running_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'while task % runs, nothing but a request to cancel it may change', OLD.task_id
        USING ERRCODE = 'check_violation', CONSTRAINT = 'running_change';
END $$;

REVOKE ALL ON FUNCTION taskmill.refuse_running_change FROM PUBLIC;

-- A row of `task` does not change while an attempt runs. Then its end adds the claim, too: a version for the claim,
-- one for the end, and one for a request to cancel. A trigger BEFORE UPDATE would lock each row once more.
CREATE TRIGGER task_transition AFTER UPDATE ON taskmill.task FOR EACH ROW
WHEN ((
    NEW.id = OLD.id
    AND CASE
        WHEN OLD.final_status IS NOT NULL THEN -- a new run
            NEW.final_status IS NULL AND NEW.version = OLD.version + 1 AND NEW.run = OLD.run + 1
            AND NEW.claim_no = OLD.claim_no AND NEW.attempt = 0 AND NEW.losses = 0
        WHEN NEW.run <> OLD.run THEN false
        WHEN NEW.claim_no = OLD.claim_no + 1 THEN NEW.version IN (OLD.version + 2, OLD.version + 3)
        WHEN NEW.claim_no <> OLD.claim_no THEN false
        WHEN NEW.final_status IS NULL THEN -- the first claim takes the policy of the type
            NEW.version = OLD.version AND OLD.open_policy > 0 AND NEW.open_policy = 0
        ELSE NEW.final_status <> 'succeeded' AND NEW.version = OLD.version + 1
    END) IS NOT TRUE)
EXECUTE FUNCTION taskmill.refuse_transition();

CREATE TRIGGER task_birth BEFORE INSERT ON taskmill.task FOR EACH ROW
WHEN (NEW.final_status IS NOT NULL OR NEW.version <> 1 OR NEW.run <> 1 OR NEW.claim_no <> 0)
EXECUTE FUNCTION taskmill.refuse_birth();

CREATE TRIGGER task_failure AFTER UPDATE ON taskmill.task FOR EACH ROW
WHEN (NEW.final_status = 'failed' AND OLD.final_status IS NULL)
EXECUTE FUNCTION taskmill.note_failure();

CREATE TRIGGER running_change AFTER UPDATE ON taskmill.running FOR EACH ROW
WHEN (NOT (
    OLD.cancel_requested_at IS NULL AND NEW.cancel_requested_at IS NOT NULL AND NEW.version = OLD.version + 1
    AND (NEW.task_id, NEW.lease_id, NEW.claim_no, NEW.attempt, NEW.started_at, NEW.queue)
        = (OLD.task_id, OLD.lease_id, OLD.claim_no, OLD.attempt, OLD.started_at, OLD.queue)))
EXECUTE FUNCTION taskmill.refuse_running_change()
