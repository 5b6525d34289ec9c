-- Purpose: have doors look for changed contracts at once. It goes out with the commit of the transaction that changes
-- them, which is rare and never a hot one.
SELECT pg_notify('taskmill_contracts', '')
