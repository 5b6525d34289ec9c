"""Logs, metrics and traces of a process. It decides nothing about tasks."""
