-- Purpose: the schedules that an app manages, and since when its code does not declare them any more. $1 text: the app.
-- Relies on schedule_managed.
SELECT name, undeclared_at FROM taskmill.schedule WHERE managed_by = $1
