"""A test of each of many things that is one test: thousands of tests take seconds to collect and to begin."""

from collections.abc import Callable, Iterable
from inspect import signature


def every(
    argument: str, things: Iterable[object]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Call a test for each thing, with it as `argument`, and fail in the end with all that failed."""
    every_one = list(things)

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        def call(**fixtures: object) -> None:
            assert every_one
            failures: list[Exception] = []
            for thing in every_one:
                try:
                    test(**fixtures, **{argument: thing})
                except Exception as error:  # noqa: BLE001 - raised below
                    error.add_note(f"{argument} is {thing!r}")
                    failures.append(error)
            if failures:
                raise ExceptionGroup(f"of {len(every_one)}", failures)

        # What pytest reads: the name, the place, and the arguments that are fixtures.
        call.__name__, call.__doc__, call.__module__ = test.__name__, test.__doc__, test.__module__
        seen = signature(test)
        fixtures = [one for one in seen.parameters.values() if one.name != argument]
        call.__signature__ = seen.replace(parameters=fixtures)  # type: ignore[attr-defined]  # of inspect
        return call

    return decorate
