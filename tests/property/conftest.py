"""Fixtures of the tests on a real database."""

from tests.support.stage import reused_databases, stage, stage_template, stage_url

__all__ = ["reused_databases", "stage", "stage_template", "stage_url"]
