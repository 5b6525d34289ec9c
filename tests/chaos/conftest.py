"""Fixtures of the tests that do harm."""

from tests.support.stage import stage, stage_template, stage_url

__all__ = ["stage", "stage_template", "stage_url"]
