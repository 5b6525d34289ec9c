-- No program of before knows them. Tasks that they made stay.
-- squawk-ignore ban-drop-table
DROP TABLE taskmill.schedule_fire;

-- squawk-ignore ban-drop-table
DROP TABLE taskmill.schedule_revision;

-- squawk-ignore ban-drop-table
DROP TABLE taskmill.schedule;
