-- Nobody waits for these: an index that is made concurrently blocks nothing. No row is in it yet.
SET lock_timeout = '10min';

SET statement_timeout = '1h';

DROP INDEX CONCURRENTLY IF EXISTS taskmill.dispatch_owner;

CREATE INDEX CONCURRENTLY IF NOT EXISTS dispatch_owner ON taskmill.dispatch (owner) WHERE owner IS NOT NULL;
