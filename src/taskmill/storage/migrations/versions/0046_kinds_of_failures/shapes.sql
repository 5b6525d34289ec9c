-- The previous program's name of the same: PostgreSQL reads it as error_kind, and finds tasks by the index of that.
-- An index of all partitions can not be dropped concurrently.
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX IF EXISTS taskmill.task_error;

CREATE OR REPLACE FUNCTION taskmill.error_shape(error jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT taskmill.error_kind(error)
$$;
