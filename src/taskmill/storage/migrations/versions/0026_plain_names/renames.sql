-- Each is quick. taskmill.create_task reads the limits before anything else: with their lock the migration waits for
-- users' transactions while it holds nothing, and the other locks come in the order in which programs take theirs.
LOCK TABLE taskmill.door_limit IN ACCESS EXCLUSIVE MODE;

ALTER TABLE taskmill.lease RENAME COLUMN asked_to TO request;

ALTER INDEX taskmill.dispatch_lane RENAME TO dispatch_bucket;

ALTER INDEX taskmill.task_cancel_asked RENAME TO task_cancel_requested;

ALTER TABLE taskmill.task_event RENAME COLUMN happening TO event;

ALTER TABLE taskmill.task_minute_delta RENAME COLUMN happening TO event;

ALTER TABLE taskmill.task_callback RENAME COLUMN lane TO endpoint;

ALTER TABLE taskmill.webhook_delivery RENAME COLUMN lane TO endpoint;

ALTER TABLE taskmill.webhook_delivery RENAME COLUMN answer TO response_status;

ALTER INDEX taskmill.webhook_delivery_lane RENAME TO webhook_delivery_endpoint;

ALTER TABLE taskmill.feed_delivery RENAME COLUMN place TO follower;

ALTER TABLE taskmill.rejection RENAME COLUMN door TO source;

ALTER TABLE taskmill.contract_revision RENAME COLUMN place TO scope;

ALTER TABLE taskmill.door_limit RENAME COLUMN place TO scope;

ALTER TABLE taskmill.door_limit RENAME CONSTRAINT door_limit_pkey TO request_limit_pkey;

ALTER TABLE taskmill.door_limit RENAME TO request_limit;
