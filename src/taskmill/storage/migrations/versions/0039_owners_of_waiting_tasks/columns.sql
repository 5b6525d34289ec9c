-- They are there already if the index could not be made. No request has 2 GiB.
-- squawk-ignore prefer-bigint-over-int
ALTER TABLE taskmill.dispatch ADD COLUMN IF NOT EXISTS owner text, ADD COLUMN IF NOT EXISTS bytes integer;
