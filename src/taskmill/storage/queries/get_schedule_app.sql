-- Purpose: which schedules the code of an app declares. $1 text: the app. Relies on the primary key.
SELECT digest, replaced FROM taskmill.schedule_app WHERE name = $1
