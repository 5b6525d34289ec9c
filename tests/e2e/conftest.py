"""Fixtures of the tests that run the whole program."""

from tests.support.stage import reused_databases, stage, stage_template, stage_url

__all__ = ["reused_databases", "stage", "stage_template", "stage_url"]
