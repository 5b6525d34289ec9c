-- No program of before knows them. What is recorded goes with them.
-- squawk-ignore ban-drop-table
DROP TABLE taskmill.audit_entry;

-- squawk-ignore ban-drop-table
DROP TABLE taskmill.audit_outcome;

DROP FUNCTION
    taskmill.drop_audit_month, taskmill.make_audit_month, taskmill.lock_audit_log, taskmill.partitions_of_month,
    taskmill.refuse_audit_change;
