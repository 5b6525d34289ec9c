-- Purpose: a worker begins. $1 uuid, $2 text worker, $3 text[] queues (empty: all), $4 text[] types, $5 integer
-- slots, $6 double precision time to live in seconds, $7 text what it was asked to do, or null, $8 text the
-- version that it runs, $9 boolean: it ends when it has nothing left.
INSERT INTO taskmill.lease (
    id, worker, queues, types, slots, request, version, stop_when_empty, expires_at
)
VALUES ($1, $2, $3, $4, $5, $7, $8, $9, clock_timestamp() + make_interval(secs => $6))
