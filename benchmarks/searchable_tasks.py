"""Fills databases of any size with tasks to search for: eight weeks of them, most ended, evenly over the time.

Whatever their number, they are in groups of ten: a customer, in labels and name, has ten tasks, and a kind of
error ten at most. Some types, and pairs of queue and type, are frequent and fail only ten times. So a rare thing
is as rare among a thousand tasks as among a million.

One task in 40 waits, and all of one customer do.
"""

from datetime import datetime

from benchmarks.stored_tasks import store_by

GROUP = 10
# Half of the names are Cyrillic. Ids are UUIDv7 of the creation time.
_SEED = """
WITH numbered AS (
    SELECT
        n, n % ($1::integer / 10) AS g, n % 20 AS kind, n / 20 % 5 AS queue,
        $2::timestamptz - make_interval(weeks => $3) * (1 - n::float8 / $1) AS created_at
    FROM generate_series($4::integer, $5::integer) AS n
),
born AS (
    SELECT *,
        CASE
            WHEN g = 1 THEN 'succeeded'
            WHEN g = 7 THEN 'new'
            WHEN kind = 3 THEN CASE WHEN g = 3 THEN 'failed' ELSE 'succeeded' END
            WHEN kind = 5 AND queue = 4 THEN CASE WHEN g = 85 THEN 'failed' ELSE 'succeeded' END
            WHEN kind = 5 OR n / 100 % 10 IN (7, 8) THEN 'failed'
            WHEN n / 100 % 10 = 9 THEN CASE WHEN n % 4 = 0 THEN 'new' ELSE 'cancelled' END
            ELSE 'succeeded'
        END AS status
    FROM numbered
)
INSERT INTO taskmill.task (
    id, name, description, type, payload, queue, priority, final_status, attempt, max_attempts, max_losses,
    run_at, created_at, started_at, finished_at, updated_at, error, labels, source, version, claim_no,
    number
)
SELECT
    (lpad(to_hex((extract(epoch FROM created_at) * 1000)::bigint), 12, '0')
        || '7' || lpad(to_hex(n % 4096), 3, '0')
        || to_hex(8 + n % 4) || right(md5(n::text), 15))::uuid,
    CASE WHEN n % 2 = 0 THEN 'Report of customer C' ELSE 'Отчёт для клиента № ' END
        || lpad(g::text, 6, '0') || ', ' || n || CASE WHEN g = 1 THEN ' Ω' ELSE '' END,
    'figures of a region, with charts, for the board',
    CASE WHEN g = 1 THEN 'rare' ELSE 'type-' || kind END,
    '{"delay_s": 1, "pages": 12}', 'queue-' || queue, 4, nullif(status, 'new'),
    CASE WHEN status IN ('succeeded', 'failed') THEN 1 ELSE 0 END, 1, 3,
    created_at, created_at,
    CASE WHEN status IN ('succeeded', 'failed') THEN created_at END,
    CASE WHEN status <> 'new' THEN created_at END, created_at,
    CASE WHEN status = 'failed' THEN jsonb_build_object(
        'type', 'Failure', 'message', 'no ' || translate(g::text, '0123456789', 'ghijklmnop')) END,
    jsonb_build_object('customer', 'c' || g, 'region', 'r' || n % 10), 'rest',
    CASE status WHEN 'new' THEN 1 ELSE 3 END, CASE status WHEN 'new' THEN 0 ELSE 1 END, n
FROM born
"""


async def store_searchable_tasks(url: str, tasks: int, until: datetime) -> None:
    """Fill an empty database with so many tasks, a multiple of 1,000, created before `until`."""
    await store_by(_SEED, url, tasks, until)
