-- Purpose: lock the row of an app that declares schedules, so that another version of its code waits. $1 text: the app.
-- Locks: schedule_app, before schedule. Relies on the primary key.
SELECT digest, replaced FROM taskmill.schedule_app WHERE name = $1
FOR UPDATE
