"""The names of hint queues, and what their bindings select."""

from taskmill.amqp.names import hint_bindings, hint_key, hint_queue_name


def test_workers_that_serve_the_same_share_a_queue_in_whatever_order_they_name_it() -> None:
    assert hint_queue_name(("b", "a"), ("t",)) == hint_queue_name(("a", "b"), ("t",))
    assert hint_queue_name(("b", "a"), ("t",)) == "taskmill.hints.a,b/t"
    assert hint_queue_name((), ()) == "taskmill.hints.#/#"


def test_the_name_of_a_queue_is_short_enough_and_differs() -> None:
    many = [f"queue-{number}" for number in range(100)]
    names = {
        hint_queue_name(many, ()),
        hint_queue_name(many[:-1], ()),
        hint_queue_name((), many),
        hint_queue_name(many, ("t",)),
    }
    assert len(names) == 4
    assert max(len(name.encode()) for name in names) <= 255


def test_names_with_dots_are_one_word_of_a_key() -> None:
    assert hint_key("a.b", "c") == "a/b.c"
    assert hint_key("a", "b.c") == "a.b/c"
    assert hint_bindings(("a.b",), ()) == ["a/b.*"]


def test_bindings_select_by_queues_or_else_by_types() -> None:
    assert hint_bindings((), ()) == ["#"]
    assert hint_bindings((), ("t", "s")) == ["*.s", "*.t"]
    assert hint_bindings(("q",), ("t", "s")) == ["q.*"]
