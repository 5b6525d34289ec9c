-- Purpose: let a listener hear itself. $1 text: a channel of its own. `all_notify` is false where the SQL door notifies for
-- nobody (see ring_if_quiet): a transaction that has rung can't be prepared for a two-phase commit.
SELECT pg_notify($1, ''), current_setting('max_prepared_transactions') = '0' AS all_notify
