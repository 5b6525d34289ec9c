"""Fixtures of the fuzzer's own tests."""

from tests.support.api import log_lines
from tests.support.stage import reused_databases, stage, stage_template, stage_url

__all__ = ["log_lines", "reused_databases", "stage", "stage_template", "stage_url"]
