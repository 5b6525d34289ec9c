-- Purpose: wake those who wait for something to happen. $1 text: the channel.
-- Never inside a hot transaction: NOTIFY holds a cluster-wide lock over its commit.
SELECT pg_notify($1, '')
