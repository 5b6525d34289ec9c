DROP INDEX taskmill.task_type_status_id, taskmill.task_queue_type_status, taskmill.task_labels, taskmill.task_error;

-- The program makes it, if the settings say so.
DROP INDEX IF EXISTS taskmill.task_name_trigrams;

DROP FUNCTION taskmill.name_key;
