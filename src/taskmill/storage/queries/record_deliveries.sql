-- Purpose: record how tries ended. $1 bigint[] deliveries, $2 integer[] which attempt it was, $3 text[] state, $4
-- double precision[] seconds until the next try, $5 integer[] status of the response, $6 text[] trouble.
-- Locks: the deliveries' rows. Relies on the primary key. A late result, of an earlier attempt or after the
-- delivery was given up, counts only if it was delivered. Returns the deliveries that were recorded.
UPDATE taskmill.webhook_delivery AS d
SET state = input.state,
    next_at = now() + make_interval(secs => input.wait_s),
    finished_at = CASE WHEN input.state <> 'pending' THEN now() END,
    response_status = input.response_status,
    trouble = input.trouble
FROM unnest(
    $1::bigint[], $2::integer[], $3::text[], $4::double precision[], $5::integer[], $6::text[]
) AS input (id, attempt, state, wait_s, response_status, trouble)
WHERE d.id = input.id
    AND CASE
        WHEN input.state = 'delivered' THEN d.state <> 'delivered'
        ELSE d.state = 'pending' AND d.attempts = input.attempt
    END
RETURNING d.id
