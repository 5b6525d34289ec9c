-- Purpose: deletes a saved view, if it is there. $1 text owner, $2 text name. Locks the one row; relies on the primary key.
DELETE FROM taskmill.saved_view WHERE owner = $1 AND name = $2
