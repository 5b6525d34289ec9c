"""The HTTP door: reads requests, calls the one service, writes answers. It knows no storage."""
