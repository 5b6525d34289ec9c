"""Clients that mean no good, all from one address; what they send is bounded and stays on this machine."""
