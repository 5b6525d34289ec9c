DROP INDEX taskmill.schedule_fire_trouble;

DROP INDEX taskmill.schedule_postponed;

-- No program of before reads it.
-- squawk-ignore ban-drop-column
ALTER TABLE taskmill.schedule_cursor DROP COLUMN postponed_since;
