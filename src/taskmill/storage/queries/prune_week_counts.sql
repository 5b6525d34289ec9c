-- Purpose: delete counters of weeks that were dropped, once their last deltas are folded. $1 date: the Monday of the
-- last week that is past retention; $2 date[]: the Mondays of the weeks that have partitions. All are 0, but for those
-- of weeks that the release before dropped. Reads all counters: queues and weeks are few.
DELETE FROM taskmill.task_week_count AS known
WHERE week <= $1
    AND week <> ALL($2)
    AND NOT EXISTS (SELECT FROM taskmill.task_count AS c WHERE c.week = known.week)
