CREATE OR REPLACE FUNCTION taskmill.note_failure() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO taskmill.failure_delta (type, error, task_id)
    VALUES (NEW.type, taskmill.error_shape(NEW.error), NEW.id);
    RETURN NULL;
END $$;

DROP TABLE taskmill.queue_failure;

DROP INDEX taskmill.rejection_queue;

ALTER TABLE taskmill.rejection DROP COLUMN queue;

ALTER TABLE taskmill.failure_delta DROP COLUMN queue;
