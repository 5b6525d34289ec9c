-- Purpose: the digests of the contracts in force for some types. $1 text[]: the types.
-- Reads only; relies on the primary keys of task_type and type_contract.
SELECT t.name, c.digest
FROM taskmill.task_type AS t
JOIN taskmill.type_contract AS c ON c.type = t.name AND c.version = t.version
WHERE t.name = ANY($1::text[])
