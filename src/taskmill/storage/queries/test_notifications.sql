-- Purpose: let a listener notify itself. $1 text: a channel of its own. `all_notify` is false where `create_task`
-- never notifies (see notify_if_idle): a transaction with a NOTIFY can't be prepared for a two-phase commit.
SELECT pg_notify($1, ''), current_setting('max_prepared_transactions') = '0' AS all_notify
