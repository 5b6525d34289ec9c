-- Purpose: the key for callbacks, which is about to be stored in another form. Locks: its row.
SELECT secret FROM taskmill.callback_key FOR NO KEY UPDATE
