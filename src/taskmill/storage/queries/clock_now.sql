-- Purpose: the time of PostgreSQL, by which all other clocks are set.
SELECT clock_timestamp()
