"""Schedules: which ticks one has, what clock changes do to them, and what becomes of missed ones."""
