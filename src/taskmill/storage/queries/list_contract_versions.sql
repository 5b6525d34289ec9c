-- Purpose: all retained versions of a type's contract, newest first. $1 text: the type.
-- Reads only; relies on the primary key of type_contract.
SELECT version, schema::text AS schema, defaults::text AS defaults, registered_at, registered_by
FROM taskmill.type_contract
WHERE type = $1
ORDER BY version DESC
