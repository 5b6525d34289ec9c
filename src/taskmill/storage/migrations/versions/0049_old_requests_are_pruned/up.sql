-- There are as many as names that were asked for and are wrong.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX schedule_request_refused ON taskmill.schedule_request (asked_at) WHERE problem IS NOT NULL;
