DROP FUNCTION taskmill.pause_schedule;

DROP FUNCTION taskmill.put_schedule;

DROP FUNCTION taskmill.lock_schedule_request;

DROP FUNCTION taskmill.check_template;

DROP FUNCTION taskmill.check_schedule;

DROP FUNCTION taskmill.are_ticks;

DROP FUNCTION taskmill.is_span;

DROP FUNCTION taskmill.iso_duration;

DROP INDEX taskmill.schedule_managed;

ALTER TABLE taskmill.schedule DROP COLUMN undeclared_at;

DROP TABLE taskmill.schedule_app;

DROP TABLE taskmill.schedule_request;
