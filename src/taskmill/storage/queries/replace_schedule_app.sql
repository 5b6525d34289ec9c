-- Purpose: record that the code of an app declares other schedules now; its row is locked. $1 text: the app; $2 text: their
-- digest; $3 text[]: those that were in force before. Locks: schedule_app. Relies on the primary key.
UPDATE taskmill.schedule_app SET digest = $2, replaced = $3, declared_at = now()
WHERE name = $1
