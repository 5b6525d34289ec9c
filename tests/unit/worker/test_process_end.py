"""When the workers of a process end it together."""

from taskmill.worker.process_end import ProcessEnd


def ended_by(*workers: str) -> tuple[ProcessEnd, list[str]]:
    """Return what these workers share, and the list of its calls."""
    done: list[str] = []
    end = ProcessEnd(lambda: done.append("end"))
    for worker in workers:
        end.join(worker, lambda worker=worker: done.append(worker))  # type: ignore[misc]  # bound now
    return end, done


def test_the_process_ends_once_when_all_are_empty() -> None:
    end, done = ended_by("loop", "threads")
    end.note("threads", is_empty=True)
    end.request_when_empty("loop", is_requested=True)
    assert end.waits_for_empty
    # The others are woken too: they take no more, either.
    assert done == ["loop", "threads"]
    end.note("threads", is_empty=False)
    end.note("loop", is_empty=True)
    assert done == ["loop", "threads"]
    end.note("threads", is_empty=True)
    end.note("loop", is_empty=True)
    end.begin()
    assert done == ["loop", "threads", "end"]


def test_a_worker_whose_request_is_withdrawn_goes_on() -> None:
    end, done = ended_by("loop")
    end.request_when_empty("loop", is_requested=True)
    end.request_when_empty("loop", is_requested=True)
    end.request_when_empty("loop", is_requested=False)
    end.note("loop", is_empty=True)
    assert not end.waits_for_empty
    assert done == ["loop", "loop"]
