-- Times a second or more apart, ascending, 50 at most.
CREATE OR REPLACE FUNCTION taskmill.are_ticks(given timestamptz[]) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT cardinality(given) BETWEEN 1 AND 50 AND NOT EXISTS (
        SELECT FROM (
            -- PostgreSQL before 17 subtracts no infinite times.
            SELECT a.tick, CASE WHEN isfinite(a.tick) AND isfinite(lag(a.tick) OVER (ORDER BY a.number))
                THEN a.tick - lag(a.tick) OVER (ORDER BY a.number) END AS distance
            FROM unnest(given) WITH ORDINALITY AS a (tick, number)
        ) AS ticks
        WHERE ticks.tick IS NULL OR ticks.distance < interval '1 second'
            OR NOT ticks.tick <@ tstzrange '[2000-01-01 00:00:00+00, 2101-01-01 00:00:00+00)')
$$;

-- Whether an interval, counted from its anchor, begins at a time from one on and before another. Whether it is an interval at all
-- is for others: true then; so is whether the times are of the years 2000 to 2100, and finite.
CREATE OR REPLACE FUNCTION taskmill.has_tick(every interval, anchor timestamptz, starts_at timestamptz, ends_at timestamptz)
RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN taskmill.is_span(every, '1 second', '36525 days') THEN (
        SELECT (div(s.after, s.length) + (mod(s.after, s.length) > 0)::integer) * s.length < s.until
        FROM (
            SELECT
                extract(epoch FROM every) AS length,
                extract(epoch FROM least(greatest(starts_at, p.first), p.last) - a.anchor) AS after,
                extract(epoch FROM greatest(least(ends_at, p.last), p.first) - a.anchor) AS until
            FROM (VALUES (timestamptz '2000-01-01 00:00:00+00', timestamptz '2101-01-01 00:00:00+00')) AS p (first, last)
            CROSS JOIN LATERAL (SELECT CASE
                WHEN anchor >= p.first AND anchor < p.last THEN anchor ELSE '2001-01-01 00:00:00+00' END AS anchor) AS a
        ) AS s
    ) ELSE true END
$$;

-- Refuses a field of a schedule that lengths, ranges and words don't allow: the first one. Whether a cron expression ever has
-- a tick, and whether there is such a zone, is for whoever computes ticks.
CREATE OR REPLACE FUNCTION taskmill.check_schedule(
    name text, cron text, every interval, at timestamptz[], anchor timestamptz, zone text, gap text, fold text,
    starts_at timestamptz, ends_at timestamptz, jitter_s double precision, catch_up text, within interval, most integer,
    overlap text
) RETURNS void
LANGUAGE plpgsql IMMUTABLE AS $$
#variable_conflict use_variable
DECLARE
    times constant tstzrange = '[2000-01-01 00:00:00+00, 2101-01-01 00:00:00+00)';
    years constant text = 'a time of the years 2000 to 2100';
    never constant text = 'a tick from starts_at on and before ends_at';
    wrong record;
BEGIN
    FOR wrong IN SELECT w.pointer, w.expected FROM (VALUES
        (coalesce(name COLLATE "C" ~ '^[a-z0-9][a-z0-9._-]{0,62}$', false), '/name',
            '1 to 63 characters a-z, 0-9, ''.'', ''_'' or ''-'', the first a letter or a digit'),
        (num_nonnulls(cron, every, at) > 0, '', 'one of cron, every and at'),
        (num_nonnulls(cron, every, at) < 2, '', 'only one of cron, every and at'),
        (length(cron) <= 500 AND cron COLLATE "C" ~ '^[\t -~]+$'
            AND cron COLLATE "C" ~ '^[\t ]*(@[a-z]+|[^@\t ][^\t ]*([\t ]+[^\t ]+){4,5})[\t ]*$',
            '/cron', 'a cron expression of 5 or 6 fields, or such as @daily'),
        (taskmill.is_span(every, '1 second', '36525 days'), '/every',
            'an interval of a second or more, at most 36525 days, without months and years'),
        (taskmill.are_ticks(at), '/at', '1 to 50 times of the years 2000 to 2100, a second or more apart, ascending'),
        (anchor <@ times, '/anchor', years),
        (anchor IS NULL OR every IS NOT NULL, '/anchor', 'no anchor without every'),
        (length(zone) BETWEEN 1 AND 64 AND zone COLLATE "C" ~ '^[\t -~]+$', '/zone',
            'the IANA name of a time zone, such as Europe/Berlin'),
        (gap IN ('end', 'skip'), '/gap', 'one of end, skip'),
        (fold IN ('first', 'last', 'both'), '/fold', 'one of first, last, both'),
        (starts_at <@ times, '/starts_at', years),
        (ends_at <@ times, '/ends_at', years),
        (ends_at > starts_at, '/ends_at', 'a time after starts_at'),
        (jitter_s BETWEEN 0 AND 86400, '/jitter_s', 'a number of seconds from 0 to 86,400 (a day)'),
        (catch_up IN ('none', 'latest', 'all'), '/catch_up', 'one of none, latest, all'),
        (taskmill.is_span(within, '0', '31 days'), '/within', 'an interval of at most 31 days, without months'),
        (most BETWEEN 1 AND 1000, '/most', 'a whole number from 1 to 1,000'),
        (overlap IN ('allow', 'skip', 'hold_one', 'cancel_running'), '/overlap',
            'one of allow, skip, hold_one, cancel_running'),
        (taskmill.has_tick(every, anchor, starts_at, ends_at), '/every', never),
        (EXISTS (SELECT FROM unnest(at) AS a (tick)
            WHERE a.tick >= coalesce(starts_at, '-infinity') AND a.tick < coalesce(ends_at, 'infinity'))
            OR at IS NULL, '/at', never),
        (jitter_s < extract(epoch FROM every), '/jitter_s', 'less than the interval'),
        (jitter_s < (SELECT min(extract(epoch FROM d.distance)) FROM (
            SELECT a.tick - lag(a.tick) OVER (ORDER BY a.number) AS distance
            FROM unnest(at) WITH ORDINALITY AS a (tick, number) WHERE isfinite(a.tick)) AS d),
            '/jitter_s', 'less than the shortest distance of two ticks')
        ) AS w (fits, pointer, expected)
        WHERE NOT w.fits
    LOOP
        PERFORM taskmill.refuse_field(wrong.pointer, wrong.expected);
    END LOOP;
END $$;
