-- Purpose: wait until every claim under way with this lease has committed or is gone. $1 uuid.
SELECT id FROM taskmill.lease WHERE id = $1 FOR UPDATE
