"""The place of an error is the innermost function of the handler's own code."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from taskmill.app import PermanentFailure, RetryLater
from taskmill.domain.lifecycle import ErrorInfo
from taskmill.worker.execution import describe

SHOP = """
import json

def handle(fail):
    charge(fail)

def charge(fail):
    fail()

def read():
    json.loads("{")

class Bank:
    def pay(self):
        raise ValueError("no")
"""
WRAPPER = """
def wrap(function, *arguments):
    return function(*arguments)

def fail():
    raise ValueError("no")
"""


def module(name: str, source: str, file: str) -> ModuleType:
    """Make a module as if it had been read from a file."""
    made = ModuleType(name)
    exec(compile(source, file, "exec"), made.__dict__)  # noqa: S102 - own source
    return made


shop = module("shop.payments", SHOP, "/home/me/shop/payments.py")
wrapper = module("wrapper", WRAPPER, "/usr/lib/python3/site-packages/wrapper.py")
installed = module("shop.payments", SHOP, "/usr/lib/python3/site-packages/shop/payments.py")


def described(call: Callable[[], object]) -> ErrorInfo:
    """Describe what a call raises, as if Taskmill had called it."""
    caller = module("taskmill.worker.caller", "def run(call): call()", "/src/taskmill/caller.py")
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - whatever it is
        caller.run(call)
    error = caught.value
    assert error.__traceback__ is not None
    # The test's own frame is that of whoever calls the service.
    return describe(error.with_traceback(error.__traceback__.tb_next))


def test_it_is_the_innermost_function_of_the_own_code() -> None:
    assert described(lambda: shop.handle(shop.Bank().pay)).place == "shop.payments.Bank.pay"


def test_what_a_library_raises_is_placed_where_the_own_code_called_it() -> None:
    assert described(lambda: shop.handle(shop.read)).place == "shop.payments.read"
    assert described(lambda: shop.handle(wrapper.fail)).place == "shop.payments.charge"


def test_code_that_wraps_the_handler_is_not_its_own() -> None:
    call = lambda: wrapper.wrap(shop.handle, wrapper.fail)  # noqa: E731 - one line says it
    assert described(call).place == "shop.payments.charge"


def test_a_handler_that_is_installed_has_the_places_of_its_package() -> None:
    place = describe_from_installed()
    assert place == "shop.payments.charge"


def describe_from_installed() -> str | None:
    with pytest.raises(ValueError, match="no") as caught:
        installed.handle(wrapper.fail)
    traceback = caught.value.__traceback__
    assert traceback is not None
    return describe(caught.value.with_traceback(traceback.tb_next)).place


def test_what_taskmill_or_python_raises_by_itself_has_no_place() -> None:
    with pytest.raises(json.JSONDecodeError) as caught:
        json.loads("{")
    traceback = caught.value.__traceback__
    assert traceback is not None
    assert describe(caught.value.with_traceback(traceback.tb_next)).place is None
    assert describe(ValueError("never raised")).place is None


def test_an_exception_may_have_a_fingerprint() -> None:
    assert describe(PermanentFailure("no", fingerprint="card")).fingerprint == "card"
    assert describe(RetryLater(fingerprint="bank")).fingerprint == "bank"
    own = ValueError("no")
    own.fingerprint = "of-mine" * 100  # type: ignore[attr-defined]
    assert len(describe(own).fingerprint or "") == 200


@pytest.mark.parametrize("value", [7, None, "", " \n", "*"])
def test_what_can_be_no_fingerprint_is_none(value: object) -> None:
    error = ValueError("no")
    error.fingerprint = value  # type: ignore[attr-defined]
    assert describe(error).fingerprint is None


def test_a_fingerprint_that_can_not_be_read_is_none() -> None:
    class Broken(Exception):
        @property
        def fingerprint(self) -> str:
            raise SystemExit

    assert describe(Broken()).fingerprint is None


def test_a_place_is_stored_as_far_as_postgresql_can() -> None:
    odd = module("odd", "def fail(): raise ValueError", str(Path("/home/me/odd.py")))
    odd.__name__ = "o\ud800" * 300
    place = described(odd.fail).place or ""
    assert place.encode()
    assert len(place.encode("unicode_escape")) >= 200
