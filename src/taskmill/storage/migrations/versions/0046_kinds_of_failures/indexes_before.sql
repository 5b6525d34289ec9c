-- The function first: an index has what it says when the row is written.
-- An index of all partitions can not be dropped concurrently.
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX IF EXISTS taskmill.task_error;

CREATE OR REPLACE FUNCTION taskmill.error_shape(error jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT left(coalesce(error ->> 'type', '?'), 100) || ': ' || left(regexp_replace(regexp_replace(
        regexp_replace(CASE
            WHEN starts_with(btrim(coalesce(error ->> 'message', ''), E' \t\r\n'), 'Traceback') THEN regexp_replace(right(btrim(coalesce(error ->> 'message', ''), E' \t\r\n'), 4000), '^.*[\r\n]', '')
            ELSE regexp_replace(left(btrim(coalesce(error ->> 'message', ''), E' \t\r\n'), 4000), '[\r\n].*$', '')
        END, '\m(0x)?[0-9a-f-]*[0-9][0-9a-f-]*\M', '#', 'g'),
        '[0-9]+', '#', 'g'), '#([.,:-]+#)+', '#', 'g'), 200)
$$;

-- Made week by week, as the index that it replaces was.
SET statement_timeout = '1h';

DO $$
DECLARE
    week text;
BEGIN
    FOR week IN
        SELECT c.relname FROM pg_inherits AS i INNER JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'taskmill.task'::regclass ORDER BY c.relname
    LOOP
        EXECUTE format(
            'CREATE INDEX IF NOT EXISTS %1$s_error_shape_id_idx ON taskmill.%1$s (taskmill.error_shape(error), id) '
            'WHERE error IS NOT NULL', week);
        COMMIT;
    END LOOP;
END $$;

-- squawk-ignore require-concurrent-index-creation
CREATE INDEX IF NOT EXISTS task_error ON taskmill.task (taskmill.error_shape(error), id) WHERE error IS NOT NULL;
