-- Makes a row for what is asked for of a schedule, if there is none, and locks it to the end of the transaction. Who may not
-- create tasks in the queue of that schedule, or of what others have asked for under its name, is refused. Returns the queue
-- of the schedule, null when there is none.
CREATE OR REPLACE FUNCTION taskmill.lock_schedule_request(name text) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_variable
DECLARE
    asked_for text;
    stored text;
BEGIN
    INSERT INTO taskmill.schedule_request AS r (name, asked_by, asked_at) VALUES (name, session_user, clock_timestamp())
    ON CONFLICT DO NOTHING;
    SELECT r.queue INTO asked_for FROM taskmill.schedule_request AS r WHERE r.name = name FOR UPDATE;
    SELECT s.queue INTO stored FROM taskmill.schedule AS s WHERE s.name = name;
    PERFORM taskmill.refuse_ungranted_queue(q.queue) FROM unnest(ARRAY[asked_for, stored]) AS q (queue)
    WHERE q.queue IS NOT NULL;
    RETURN stored;
END $$;
