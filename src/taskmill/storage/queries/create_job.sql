-- Purpose: start a job. $1 uuid id, $2 text action, $3 text filter in JSON, $4 uuid[] picked tasks (empty: by the
-- filter), $5 bigint: how many tasks it changes at most (null: all), $6 bigint: how many matched, $7 timestamptz and $8 double
-- precision: its pace, $9 text origin in JSON, $10 text: id of its API key, $11 text[] scopes, $12 and $13 uuid: the
-- tasks between these ids, $14 bigint: how many jobs may go on at a time, $15 text idempotency key, $16 bytea: hash of
-- the request. Locks: its row. Relies on: the primary key, job_open, job_idempotency. Returns the job; no row if its id
-- or key is there, or as many go on as may. Those that are started at the same moment don't count each other.
INSERT INTO taskmill.job (
    id, action, wanted, task_ids, task_limit, expected, first_at, spacing_s, origin, key_id, scopes, after_id, until_id,
    idempotency_key, request_hash
)
SELECT
    $1::uuid, $2::text, $3::text::json, $4::uuid[], $5::bigint, $6::bigint, $7::timestamptz, $8::double precision,
    $9::text::json, $10::text, $11::text[], $12::uuid, $13::uuid,
    $15::text, $16::bytea
WHERE (SELECT count(*) FROM taskmill.job WHERE state = 'running') < $14::bigint
ON CONFLICT DO NOTHING
RETURNING
    id, action, wanted, task_ids, task_limit, expected, first_at, spacing_s, origin, key_id, scopes, entry_id, state, problem,
    after_id, until_id, matched, changed, requested, created_at, updated_at, stop_requested_at, stop_requested_by,
    ended_at
