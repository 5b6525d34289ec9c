"""The webhooks role: makes deliveries of what happens, and delivers them."""
