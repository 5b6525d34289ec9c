-- Purpose: how many queues an API key's tasks made. $1 text: the name of the key. Reads a table of few rows.
SELECT count(*) FROM taskmill.queue WHERE owner = $1
