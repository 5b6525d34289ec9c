-- Purpose: gives an address a name, which may have had another one; returns whether there was room for it.
-- $1 text owner, $2 text name, $3 text address, $4 integer: the most that an owner has. Two at once may exceed it by one.
-- Locks the one row; relies on the primary key.
WITH saved AS (
    INSERT INTO taskmill.saved_view (owner, name, address)
    SELECT $1, $2, $3
    WHERE (SELECT count(*) FROM taskmill.saved_view WHERE owner = $1 AND name <> $2) < $4
    ON CONFLICT (owner, name) DO UPDATE SET address = excluded.address
    RETURNING name
)
SELECT EXISTS (SELECT FROM saved) AS is_saved
