-- Purpose: record how what was asked for ended. $1 uuid: the entry, $2 text: outcome, $3 text: reason, $4 text:
-- details in JSON. Fails with check_violation while the month has no partition.
INSERT INTO taskmill.audit_outcome (entry_id, at, outcome, reason, details)
VALUES ($1, clock_timestamp(), $2, $3, $4::text::json)
