ALTER TABLE taskmill.task_count DROP COLUMN week;

DROP TABLE taskmill.task_week_count;

DROP FUNCTION taskmill.week_of(uuid)
