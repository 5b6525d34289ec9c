-- Purpose: wait until every claim in flight with this lease has committed or failed. $1 uuid.
SELECT id FROM taskmill.lease WHERE id = $1 FOR UPDATE
