-- Purpose: what live workers serve, as far as they take tasks. Reads only; the table has a row for each worker of the last days.
SELECT queues, types, slots FROM taskmill.lease
WHERE closed_at IS NULL AND expires_at > clock_timestamp() AND asked_to IS NULL
