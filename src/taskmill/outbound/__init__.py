"""Requests to addresses that users gave: which are allowed, how they are sent, and how they are signed."""
