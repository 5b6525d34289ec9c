-- As the foundation made it.
CREATE OR REPLACE FUNCTION taskmill.error_shape(error jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT left(coalesce(error ->> 'type', '?'), 100) || ': ' || left(regexp_replace(regexp_replace(
        regexp_replace(
            regexp_replace(
                right(btrim(coalesce(error ->> 'message', ''), E' \t\r\n'), 4000), '^.*[\r\n]', ''),
            '\m(0x)?[0-9a-f-]*[0-9][0-9a-f-]*\M', '#', 'g'),
        '[0-9]+', '#', 'g'), '#([.,:-]+#)+', '#', 'g'), 200)
$$;

DROP INDEX taskmill.webhook_delivery_failing;

ALTER TABLE taskmill.lease DROP COLUMN lost_task_ids;

ALTER TABLE taskmill.lease DROP COLUMN stop_when_empty;
