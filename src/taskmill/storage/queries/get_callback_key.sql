-- Purpose: the key that callbacks are signed with where the settings have none. Reads only.
SELECT secret FROM taskmill.callback_key
