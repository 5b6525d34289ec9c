-- Purpose: acknowledge or silence a notice, or remove its mark. $1 uuid id, $2 text kind, $3 text subject, $4 text
-- queue, $5 text mark (null: none), $6 text who, $7 double precision: for how many seconds (null: until it ends), $8
-- text note. Locks: the notice. Relies on the primary key.
INSERT INTO taskmill.notice (id, kind, subject, queue, mark, marked_by, marked_at, marked_until, note)
VALUES ($1, $2, $3, $4, $5, $6, now(), now() + make_interval(secs => $7), $8)
ON CONFLICT (id) DO UPDATE SET
    mark = excluded.mark, marked_by = excluded.marked_by, marked_at = excluded.marked_at,
    marked_until = excluded.marked_until, note = excluded.note, last_at = now()
