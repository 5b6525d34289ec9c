-- An index of many tasks takes seconds, and on a partitioned table it can't be made concurrently. Each is made week by
-- week, in a transaction of its own, while changes of that week's tasks wait: 0.2 to 0.5 s where it has 125,000 tasks
-- (2 cores, 2026-11-29). Whoever changes such a task meanwhile queues behind it, and so it waits for its own lock as
-- briefly as any other statement; when the migration is repeated, it keeps the indexes that are there.
SET statement_timeout = '1h';

DO $$
DECLARE
    week text;
BEGIN
    FOR week IN
        SELECT c.relname FROM pg_inherits AS i INNER JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'taskmill.task'::regclass ORDER BY c.relname
    LOOP
        EXECUTE format('CREATE INDEX IF NOT EXISTS %1$s_type_status_id_idx ON taskmill.%1$s (type, status, id)', week);
        COMMIT;
        EXECUTE format(
            'CREATE INDEX IF NOT EXISTS %1$s_queue_type_status_idx ON taskmill.%1$s (queue, type, status) '
            'WHERE finished_at IS NOT NULL', week);
        COMMIT;
        EXECUTE format(
            'CREATE INDEX IF NOT EXISTS %1$s_labels_idx ON taskmill.%1$s USING gin (labels jsonb_path_ops) '
            'WHERE labels <> ''{}''', week);
        COMMIT;
        EXECUTE format(
            'CREATE INDEX IF NOT EXISTS %1$s_error_shape_id_idx ON taskmill.%1$s (taskmill.error_shape(error), id) '
            'WHERE error IS NOT NULL', week);
        COMMIT;
    END LOOP;
END $$;

-- Lists by type, and by type and status, newest first. It takes over what was made above, as the others do.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX IF NOT EXISTS task_type_status_id ON taskmill.task (type, status, id);

-- The rare pairs among frequent queues and types. It has no order, so that equal entries are stored once; of ended
-- tasks only, which stay where they are.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX IF NOT EXISTS task_queue_type_status ON taskmill.task (queue, type, status) WHERE finished_at IS NOT NULL;

-- Only of tasks that have labels: others cost nothing.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX IF NOT EXISTS task_labels ON taskmill.task USING gin (labels jsonb_path_ops) WHERE labels <> '{}';

-- Only of tasks that failed. Whoever changes error_shape must make it anew.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX IF NOT EXISTS task_error ON taskmill.task (taskmill.error_shape(error), id) WHERE error IS NOT NULL;
