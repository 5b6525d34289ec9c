-- Purpose: wake those who wait for something to happen. $1 text: the channel.
-- By itself: NOTIFY holds a cluster-wide lock over its commit. Only `create_tasks` of a lone task notifies within.
SELECT pg_notify($1, '')
