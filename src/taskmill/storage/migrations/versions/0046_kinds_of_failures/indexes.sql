-- Made week by week, each in a transaction of its own, as in 0028: changes of a week's tasks wait while its index is
-- made, and none for those of others. When the migration is repeated, it keeps what is there.
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
            'CREATE INDEX IF NOT EXISTS %1$s_error_kind_id_idx ON taskmill.%1$s (taskmill.error_kind(error), id) '
            'WHERE error IS NOT NULL', week);
        COMMIT;
    END LOOP;
END $$;

-- It takes over what was made above.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX IF NOT EXISTS task_error_kind ON taskmill.task (taskmill.error_kind(error), id) WHERE error IS NOT NULL;

-- One that is half made is not valid.
DROP INDEX CONCURRENTLY IF EXISTS taskmill.queue_failure_error;

-- The queues of one kind.
CREATE INDEX CONCURRENTLY IF NOT EXISTS queue_failure_error ON taskmill.queue_failure (error, step_s, at);
