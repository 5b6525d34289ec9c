-- Purpose: have all processes forget the API keys that they have verified. It takes effect with the commit of the
-- transaction that changes them, which is rare and never a hot one.
SELECT pg_notify('taskmill_api_keys', '')
