-- Purpose: the saved views of an owner, by name. $1 text: the name of an API key, empty where no keys are required.
-- Reads only; relies on the primary key.
SELECT name, address FROM taskmill.saved_view WHERE owner = $1 ORDER BY lower(name), name
