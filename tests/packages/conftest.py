"""Fixtures of the tests of packages."""

from tests.support.stage import reused_databases, stage_template, stage_url

__all__ = ["reused_databases", "stage_template", "stage_url"]
