-- Purpose: how many webhooks get changes. Reads only.
SELECT count(*) FROM taskmill.webhook WHERE state <> 'disabled'
