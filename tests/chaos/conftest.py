"""Fixtures of the chaos tests."""

from tests.support.stage import stage, stage_template, stage_url

__all__ = ["stage", "stage_template", "stage_url"]
