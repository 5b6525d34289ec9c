"""Fixtures of the tests on a real database."""

from tests.support.stage import stage, stage_template, stage_url

__all__ = ["stage", "stage_template", "stage_url"]
