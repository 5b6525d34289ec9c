-- Purpose: remove the contract of a type; its versions stay. $1 text: the type.
-- Runs after lock_contracts in the same transaction. Locks in order: task_type, contract_revision.
WITH dropped AS (
    DELETE FROM taskmill.task_type WHERE name = $1 RETURNING name
)
UPDATE taskmill.contract_revision SET revision = revision + 1
WHERE EXISTS (SELECT FROM dropped)
RETURNING revision
