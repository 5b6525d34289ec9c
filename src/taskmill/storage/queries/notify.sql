-- Purpose: wake those who listen to a channel. $1 text: the channel.
-- In its own transaction: NOTIFY holds a cluster-wide lock over its commit. Only `create_tasks` of a lone task
-- notifies by itself.
SELECT pg_notify($1, '')
