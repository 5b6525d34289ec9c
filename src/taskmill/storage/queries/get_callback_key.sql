-- Purpose: the key for signing callbacks where the settings have none. Reads only.
SELECT secret FROM taskmill.callback_key
