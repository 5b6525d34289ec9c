DROP INDEX taskmill.task_type_status_id, taskmill.task_queue_type_status, taskmill.task_labels, taskmill.task_error;

-- The program makes it, if the settings say so.
DROP INDEX IF EXISTS taskmill.task_name_trigrams;

-- Those of weeks stay when it was stopped half-way.
DO $$
DECLARE
    index_name text;
BEGIN
    FOR index_name IN
        SELECT c.relname FROM pg_class AS c
        WHERE c.relnamespace = 'taskmill'::regnamespace AND c.relkind = 'i'
            AND c.relname LIKE 'task\_%\_task\_name\_trigrams'
    LOOP
        EXECUTE format('DROP INDEX taskmill.%I', index_name);
    END LOOP;
END $$;

DROP FUNCTION taskmill.name_key;
