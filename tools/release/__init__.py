"""Releases: what a version promises, and the files that it consists of (docs/operations/releases.md)."""
