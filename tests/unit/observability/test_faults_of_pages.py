"""The tests' own check of metrics pages notices what `promtool check metrics` would."""

import pytest

from tests.support.exposition import Page

GOOD = """\
# HELP x_total Things
# TYPE x_total counter
x_total{a="1"} 2.0
# HELP y_seconds Time
# TYPE y_seconds histogram
y_seconds_bucket{le="1.0"} 1.0
y_seconds_bucket{le="+Inf"} 3.0
y_seconds_count 3.0
y_seconds_sum 4.5
"""


def test_a_good_page_has_no_faults() -> None:
    assert Page(GOOD).faults() == []


@pytest.mark.parametrize(
    ("right", "wrong", "fault"),
    [
        ("# HELP x_total Things\n", "", "no HELP"),
        ("# TYPE x_total counter\n", "", "no known kind"),
        ("# HELP y", GOOD.partition("# HELP y")[0] + "# HELP y", "twice"),
        ('x_total{a="1"} 2.0', 'x_total{a="1"} 2.0\nx_total{a="1"} 3.0', "twice"),
        ("2.0", "NaN", "is nan"),
        ("2.0", "-2.0", "below 0"),
        ('le="+Inf"} 3.0', 'le="+Inf"} 0.0', "in the buckets"),
        ('le="+Inf"} 3.0', 'le="2.0"} 3.0', "the buckets are"),
        ("y_seconds", "y_milliseconds", "no good name"),
        ("counter", "gauge", "looks like a counter"),
    ],
)
def test_a_fault_is_noticed(right: str, wrong: str, fault: str) -> None:
    assert fault in "\n".join(Page(GOOD.replace(right, wrong)).faults())
