-- How long a queue keeps its ended tasks; null: as long as the settings say. There are few queues.
-- squawk-ignore adding-field-with-default, constraint-missing-not-valid
ALTER TABLE taskmill.queue ADD COLUMN keep interval
    CONSTRAINT queue_keep CHECK (keep BETWEEN interval '1 hour' AND interval '380 days');

-- Up to when tasks of a queue may have been deleted one by one: those that were created before. So `verify` knows that
-- a change of the feed may have lost its task. It stays when the queue is removed.
CREATE TABLE taskmill.pruned_queue (
    queue text PRIMARY KEY,
    created_before timestamptz NOT NULL
);
