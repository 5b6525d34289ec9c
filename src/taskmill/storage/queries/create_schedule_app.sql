-- Purpose: make the row of an app that declares schedules. $1 text: the app; $2 text: the digest of its schedules.
-- Locks: schedule_app, before schedule. Relies on the primary key. Does nothing if there is one.
INSERT INTO taskmill.schedule_app (name, digest) VALUES ($1, $2)
ON CONFLICT (name) DO NOTHING
