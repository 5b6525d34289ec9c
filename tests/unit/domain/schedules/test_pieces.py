from datetime import timedelta
from itertools import pairwise

import pytest

from taskmill.domain.schedules.pieces import pieces_of
from taskmill.domain.schedules.spec import Fold
from taskmill.domain.schedules.zones import changes_in
from tests.support.tick_walk import utc

ZONES = ("UTC", "Europe/Berlin", "Asia/Dhaka", "Pacific/Apia", "Africa/Casablanca", "Asia/Gaza")


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("year", [2000, 2009, 2010, 2011, 2012, 2026])
def test_pieces_cover_a_year_without_what_is_left_out(zone: str, year: int) -> None:
    folds = [change for change in changes_in(zone, year) if not change.is_gap]
    repeated = sum((change.size for change in folds), timedelta())
    whole = utc(year + 1, 1, 1) - utc(year, 1, 1)
    for fold in Fold:
        pieces = pieces_of(zone, year, fold)
        assert all(before.end <= after.start for before, after in pairwise(pieces))
        covered = sum((piece.end - piece.start for piece in pieces), timedelta())
        assert covered == (whole if fold is Fold.BOTH else whole - repeated)
        assert all(a.offset != b.offset for a, b in pairwise(pieces))


def test_a_piece_after_a_gap_knows_it() -> None:
    winter, summer, late = pieces_of("Europe/Berlin", 2026, Fold.FIRST)
    spring, autumn = changes_in("Europe/Berlin", 2026)
    assert (winter.gap, summer.gap, late.gap) == (None, spring, None)
    assert summer.start == spring.at
    assert late.start == autumn.at + timedelta(hours=1)
    assert (winter.start, late.end) == (utc(2026, 1, 1), utc(2027, 1, 1))
