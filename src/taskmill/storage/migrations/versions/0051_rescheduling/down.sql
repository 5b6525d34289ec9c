CREATE OR REPLACE TRIGGER task_transition AFTER UPDATE ON taskmill.task FOR EACH ROW
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
EXECUTE FUNCTION taskmill.refuse_transition()
