-- Purpose: have all processes read changed contracts at once. It takes effect with the commit of the transaction
-- that changes them, which is rare and never a hot one.
SELECT pg_notify('taskmill_contracts', '')
