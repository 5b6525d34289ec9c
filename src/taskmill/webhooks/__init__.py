"""The webhooks role: creates deliveries for the feed's changes, and sends them."""
