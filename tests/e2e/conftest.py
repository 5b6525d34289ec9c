"""Fixtures of the tests that run the whole program."""

from tests.support.stage import stage, stage_template, stage_url

__all__ = ["stage", "stage_template", "stage_url"]
