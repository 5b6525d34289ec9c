-- Purpose: whether any delivery is pending, due or not. Reads only; relies on webhook_delivery_endpoint.
SELECT EXISTS (SELECT FROM taskmill.webhook_delivery WHERE state = 'pending') AS is_there
