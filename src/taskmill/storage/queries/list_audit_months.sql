-- Purpose: the months that have partitions of the audit log, oldest first. Reads the catalog only.
SELECT DISTINCT right(c.relname, 7) AS suffix
FROM pg_inherits AS i
INNER JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent IN ('taskmill.audit_entry'::regclass, 'taskmill.audit_outcome'::regclass)
ORDER BY suffix
