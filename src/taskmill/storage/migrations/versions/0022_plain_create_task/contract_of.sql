-- The schema that holds for a type, so that `enqueue` checks a payload before it sends it: no row for a type without a
-- contract, and a null for a schema that is known by its digest. Whoever may call `create_task` gets an answer, and needs
-- no grant of its own; nobody else gets a row.
CREATE FUNCTION taskmill.contract_of(wanted text, known bytea DEFAULT NULL)
RETURNS TABLE (contract_digest bytea, contract_schema text)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT c.digest, CASE WHEN c.digest IS DISTINCT FROM known THEN c.schema::text END
    FROM taskmill.task_type AS t
    JOIN taskmill.type_contract AS c ON c.type = t.name AND c.version = t.version
    WHERE t.name = wanted AND (
        SELECT bool_or(has_function_privilege(
            coalesce(nullif(current_setting('role'), 'none'), session_user), p.oid, 'EXECUTE'))
        FROM pg_proc AS p WHERE p.pronamespace = 'taskmill'::regnamespace AND p.proname = 'create_task')
$$;
