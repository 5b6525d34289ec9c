-- Purpose: how many types that nobody serves an API key has recorded. $1 text: the name of the key. Reads a table of
-- few rows.
SELECT count(*) FROM taskmill.unserved_type WHERE owner = $1
