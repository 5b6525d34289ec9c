"""Fixtures of the tests of packages."""

from tests.support.stage import stage_template, stage_url

__all__ = ["stage_template", "stage_url"]
