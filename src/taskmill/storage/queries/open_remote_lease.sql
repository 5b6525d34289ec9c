-- Purpose: a worker that pulls over HTTP is about to claim, in this transaction. $1 uuid, $2 text worker, $3
-- text[] queues (empty: all), $4 text[] types, $5 integer most tasks, $6 double precision time to live in seconds.
INSERT INTO taskmill.lease (id, worker, queues, types, slots, expires_at, remote)
VALUES ($1, $2, $3, $4, $5, clock_timestamp() + make_interval(secs => $6), true)
