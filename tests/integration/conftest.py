"""Fixtures of the tests on a real database."""

from tests.support.api import api, log_lines
from tests.support.feed import numbered
from tests.support.long_past import seeded, seeded_templates, seeded_url
from tests.support.pages import pages
from tests.support.pulling import pull
from tests.support.raw_requests import known
from tests.support.stage import reused_databases, stage, stage_template, stage_url

__all__ = [
    "api",
    "known",
    "log_lines",
    "numbered",
    "pages",
    "pull",
    "reused_databases",
    "seeded",
    "seeded_templates",
    "seeded_url",
    "stage",
    "stage_template",
    "stage_url",
]
