"""Requests to addresses that others gave: where they may go, how they are made, and how they are signed."""
