-- Purpose: note what an operator decided about a kind of failures. $1 text: its id, $2 text: the kind, $3 timestamptz,
-- $4 timestamptz, $5 uuid: when it was seen first and last, and its last task, if it is not noted yet; $6 text: the
-- state, $7 text: who. Locks: the row. Relies on the primary key.
INSERT INTO taskmill.failure_kind (id, kind, first_at, last_at, task_id, state, state_at, state_by)
VALUES ($1, $2, $3, $4, $5, $6, now(), $7)
ON CONFLICT (id) DO UPDATE
    SET state = excluded.state, state_at = excluded.state_at, state_by = excluded.state_by
