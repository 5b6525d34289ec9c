-- Purpose: before when the latest task was created that may have been deleted as its queue says, null for none.
-- Reads only: there are few rows.
SELECT max(created_before) FROM taskmill.pruned_queue
