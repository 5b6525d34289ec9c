"""Hostile clients, all from one address; what they send is bounded and stays on this machine."""
