-- Purpose: PostgreSQL's clock, which all others are set by.
SELECT clock_timestamp()
