-- Purpose: store the key for callbacks in another form. $1 text. Locks: its row (held since lock_callback_key).
UPDATE taskmill.callback_key SET secret = $1
