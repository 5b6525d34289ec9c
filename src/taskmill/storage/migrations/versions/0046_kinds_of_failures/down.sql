DROP INDEX taskmill.task_error_kind;

DROP INDEX taskmill.queue_failure_error;

CREATE OR REPLACE FUNCTION taskmill.note_failure() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO taskmill.failure_delta (queue, type, error, task_id)
    VALUES (NEW.queue, NEW.type, taskmill.error_shape(NEW.error), NEW.id);
    RETURN NULL;
END $$;

DROP TABLE taskmill.failure_kind;

DROP FUNCTION taskmill.error_kind, taskmill.message_shape, taskmill.without_numbers, taskmill.markup_title;
