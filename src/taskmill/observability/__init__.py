"""How a process tells what it does: logs. It decides nothing about tasks."""
