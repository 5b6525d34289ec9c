"""Errors of the client cross to other processes."""

import copy
import pickle
from collections.abc import Callable

import pytest

from taskmill.client import ClientError, NotAllCreated, StillRunning, Unexpected, Unreachable
from taskmill.domain.lifecycle import Status
from tests.support.fake_transport import ID

ERRORS: list[ClientError] = [
    Unreachable("http://taskmill", "refused"),
    Unexpected("http://taskmill", 502, "HTML"),
    StillRunning(ID, Status.NEW, 3.0),
    NotAllCreated([ID, None], {}, is_cut=True),
]


def sent_over(error: ClientError) -> ClientError:
    arrived: ClientError = pickle.loads(pickle.dumps(error))  # noqa: S301 - it is our own
    return arrived


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("copied", [sent_over, copy.copy])
def test_an_error_crosses_to_another_process(
    error: ClientError, copied: Callable[[ClientError], ClientError]
) -> None:
    arrived = copied(error)
    assert (type(arrived), str(arrived), vars(arrived)) == (type(error), str(error), vars(error))
