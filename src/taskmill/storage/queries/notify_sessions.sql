-- Purpose: have all processes forget the sessions that they have verified. It takes effect with the commit of the
-- transaction that ends some, which is rare and never a hot one.
SELECT pg_notify('taskmill_sessions', '')
