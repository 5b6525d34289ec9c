"""From a body to a request: defaults, every field's bounds, rules between fields, idempotency."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from taskmill.domain.errors import InvalidInput
from taskmill.domain.retry import RetryPolicy
from taskmill.domain.task import TaskDraft
from taskmill.wire.rules import InputLimits
from taskmill.wire.strict_json import LARGEST_INTEGER, SMALLEST_INTEGER, canonical_hash, parse
from taskmill.wire.tasks import CreateTask, to_draft

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
JSON_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(SMALLEST_INTEGER, LARGEST_INTEGER),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])),
)
JSON_VALUES = st.recursive(
    JSON_SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab/~é"), inner),
    max_leaves=10,
)


def draft(**fields: object) -> TaskDraft:
    return to_draft({"name": "first", **fields}, source="rest")


def refusals(body: object, *, header_key: str | None = None) -> dict[str, str]:
    """Give what is wrong as pointer → got."""
    with pytest.raises(InvalidInput) as caught:
        to_draft(body, header_key=header_key, source="rest")
    return {violation.pointer: violation.got for violation in caught.value.violations}


def test_a_name_is_enough() -> None:
    assert to_draft({"name": "first"}, source="amqp") == TaskDraft(name="first", source="amqp")


def test_every_field_arrives() -> None:
    made = draft(
        description="for finance",
        type="reports.monthly",
        payload={"b": 1, "a": [1.0, None, "é"]},
        queue="reports",
        priority=9,
        run_at="2030-01-31T09:00:00+03:00",
        max_attempts=5,
        max_losses=0,
        retry={"base_s": 0.5, "factor": 3, "max_s": 60, "jitter": 0},
        timeout_s=30,
        expires_at="2030-02-01T00:00:00Z",
        labels={"team": "finance"},
    )
    assert made == TaskDraft(
        name="first",
        description="for finance",
        type="reports.monthly",
        payload='{"b":1,"a":[1.0,null,"é"]}',
        queue="reports",
        priority=9,
        run_at=datetime(2030, 1, 31, 6, tzinfo=UTC),
        max_attempts=5,
        max_losses=0,
        retry=RetryPolicy(
            base=timedelta(seconds=0.5), factor=3.0, maximum=timedelta(minutes=1), jitter=0.0
        ),
        timeout=timedelta(seconds=30),
        expires_at=datetime(2030, 2, 1, tzinfo=UTC),
        labels='{"team":"finance"}',
        source="rest",
    )


def test_a_delay_is_seconds() -> None:
    assert draft(delay_s=1.5).delay == timedelta(seconds=1.5)
    assert draft(delay_s=0).delay == timedelta(0)


def test_a_retry_policy_may_be_partial() -> None:
    made = draft(retry={"base_s": 5})
    assert made.retry == RetryPolicy(base=timedelta(seconds=5))


def test_null_is_as_good_as_leaving_out_what_has_no_default() -> None:
    nullable = ("description", "payload", "run_at", "delay_s", "retry", "timeout_s", "expires_at")
    assert draft(**dict.fromkeys((*nullable, "idempotency_key"))) == draft()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "x" * 200),
        ("name", " x\u200b"),
        ("name", "\U0001f600"),
        ("description", ""),
        ("description", "x" * 10_000),
        ("type", "a"),
        ("queue", "0._-" + "z" * 59),
        ("priority", 0),
        ("priority", 9),
        ("delay_s", 31_536_000),
        ("max_attempts", 1000),
        ("max_losses", 100),
        ("timeout_s", 0.001),
        ("timeout_s", 604_800),
        ("payload", {}),
        ("labels", {"k" * 63: "v" * 255, "empty": ""}),
        ("labels", {str(n): "" for n in range(64)}),
        ("retry", {"base_s": 0, "factor": 1, "max_s": 604_800, "jitter": 1}),
        ("retry", {"base_s": 86_400, "factor": 100}),
        ("idempotency_key", "k" * 255),
    ],
)
def test_the_bounds_of_a_field_are_inside(field: str, value: object) -> None:
    assert isinstance(to_draft({"name": "first", field: value}, source="rest"), TaskDraft)


@pytest.mark.parametrize(
    ("field", "value", "got"),
    [
        ("name", "", "an empty string"),
        ("name", "   ", "a string of 3 characters"),
        ("name", "\t\u3000", "a string of 2 characters"),
        ("name", "\u200b\u200d\u2060\ufeff", "a string of 4 characters"),
        ("name", "\U000e0020", "a string of 1 character"),
        ("name", "x" * 201, "a string of 201 characters"),
        ("name", 5, "the number 5"),
        ("name", None, "null"),
        ("description", "x" * 10_001, "a string of 10,001 characters"),
        ("description", 1, "the number 1"),
        ("type", "Big", 'the string "Big"'),
        ("type", None, "null"),
        ("queue", "", "an empty string"),
        ("queue", "-a", 'the string "-a"'),
        ("queue", "a\n", 'the string "a\\u000a"'),
        ("queue", "a" * 64, "a string of 64 characters"),
        ("priority", 10, "the number 10"),
        ("priority", -1, "the number -1"),
        ("priority", "5", 'the string "5"'),
        ("priority", 5.0, "the number 5.0"),
        ("priority", True, "true"),
        ("run_at", "2030-01-31T09:00:00", 'the string "2030-01-31T09:00:00"'),
        ("run_at", "1999-01-01T00:00:00Z", 'the string "1999-01-01T00:00:00Z"'),
        ("run_at", 1_900_000_000, "the number 1900000000"),
        ("expires_at", "tomorrow", 'the string "tomorrow"'),
        ("delay_s", -0.1, "the number -0.1"),
        ("delay_s", 31_536_001, "the number 31536001"),
        ("delay_s", True, "true"),
        ("delay_s", "1", 'the string "1"'),
        ("max_attempts", 0, "the number 0"),
        ("max_attempts", 1001, "the number 1001"),
        ("max_losses", -1, "the number -1"),
        ("max_losses", 101, "the number 101"),
        ("timeout_s", 0, "the number 0"),
        ("timeout_s", 604_801, "the number 604801"),
        ("payload", [], "an array"),
        ("payload", "{}", "a string of 2 characters"),
        ("labels", None, "null"),
        ("labels", ["a"], "an array"),
        ("labels", {str(n): "" for n in range(65)}, "65 labels"),
        ("retry", "fast", "a string of 4 characters"),
        ("idempotency_key", "", "an empty string"),
        ("idempotency_key", 7, "the number 7"),
    ],
)
def test_a_field_out_of_bounds_is_refused(field: str, value: object, got: str) -> None:
    assert refusals({"name": "first", field: value})[f"/{field}"] == got


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"retry": {"base_s": -1}}, "/retry/base_s"),
        ({"retry": {"factor": 0.5}}, "/retry/factor"),
        ({"retry": {"max_s": 604_801}}, "/retry/max_s"),
        ({"retry": {"jitter": 1.1}}, "/retry/jitter"),
        ({"retry": {"jitter": "a lot"}}, "/retry/jitter"),
        ({"labels": {"team": 5}}, "/labels/team"),
        ({"labels": {"a/b": None}}, "/labels/a~1b"),
        ({"labels": {"": "x"}}, "/labels/"),
        ({"labels": {"team": "x" * 256}}, "/labels/team"),
        ({"labels": {"k" * 64: "x"}}, "/labels/" + "k" * 59 + "…"),
    ],
)
def test_the_pointer_leads_to_the_inner_field(body: dict[str, object], pointer: str) -> None:
    assert list(refusals({"name": "first", **body})) == [pointer]


@pytest.mark.parametrize("body", [None, [], [{"name": "x"}], "name", 5, 1.5, True])
def test_a_body_that_is_no_object_is_refused_as_a_whole(body: object) -> None:
    assert list(refusals(body, header_key="k")) == [""]


def test_a_missing_name_is_reported() -> None:
    assert refusals({}) == {"/name": "nothing"}


def test_unknown_fields_are_refused_with_the_nearest_known_one() -> None:
    found = refusals({"name": "x", "prioritty": 1, "webhook_url": "http://a", "retry": {"max": 1}})
    assert found["/prioritty"] == 'an unknown field (did you mean "priority"?)'
    assert found["/webhook_url"] == "an unknown field"
    assert found["/retry/max"].startswith('an unknown field (did you mean "max_s"?)')


def test_all_violations_are_reported_at_once() -> None:
    body = {
        "name": "",
        "run_at": "2030-01-01T00:00:00Z",
        "delay_s": 5,
        "payload": {"delay_s": -1},
        "labels": {str(n): "" for n in range(65)},
        "idempotency_key": "a",
        "x": 1,
    }
    assert set(refusals(body, header_key="b")) == {
        "/name",
        "/delay_s",
        "/payload/delay_s",
        "/labels",
        "/idempotency_key",
        "/x",
    }


def test_no_more_than_a_hundred_violations_are_reported() -> None:
    assert len(refusals({f"x{n}": 1 for n in range(5000)})) == 20


def test_a_start_and_a_delay_exclude_each_other_but_null_is_neither() -> None:
    assert refusals({"name": "x", "run_at": "2030-01-01T00:00:00Z", "delay_s": 0}) == {
        "/delay_s": "both"
    }
    assert draft(run_at=None, delay_s=5).delay == timedelta(seconds=5)
    assert draft(run_at="2030-01-01T00:00:00Z", delay_s=None).delay is None


@pytest.mark.parametrize("expiry", ["2030-01-01T00:00:00Z", "2030-01-01T02:00:00+03:00"])
def test_a_task_cannot_expire_before_it_may_start(expiry: str) -> None:
    assert list(
        refusals({"name": "x", "run_at": "2030-01-01T00:00:00Z", "expires_at": expiry})
    ) == ["/expires_at"]


def test_a_wrong_time_beside_an_expiry_is_reported_once() -> None:
    body = {"name": "x", "run_at": "soon", "expires_at": "2030-01-01T00:00:00Z"}
    assert list(refusals(body)) == ["/run_at"]


def test_secrets_in_texts_are_never_echoed() -> None:
    secret = "hunter" + "2"
    body = {
        "name": {"password": secret},
        "description": [secret],
        "payload": secret,
        "labels": {"token": [secret]},
        "password": secret,
        "idempotency_key": [secret],
    }
    assert secret not in repr(refusals(body))


class TestIdempotency:
    def test_the_key_may_come_in_the_body_or_beside_it(self) -> None:
        body = {"name": "x", "priority": 1}
        inside = to_draft({**body, "idempotency_key": "k"}, source="rest").idempotency
        beside = to_draft(body, header_key="k", source="rest").idempotency
        both = to_draft({**body, "idempotency_key": "k"}, header_key="k", source="rest").idempotency
        assert inside == beside == both
        assert inside is not None
        assert inside.key == "k"
        assert inside.request_hash == canonical_hash(body)

    def test_the_hash_is_of_the_body_as_sent_without_defaults(self) -> None:
        bare = to_draft({"name": "x"}, header_key="k", source="rest").idempotency
        spelt = to_draft({"name": "x", "priority": 4}, header_key="k", source="rest").idempotency
        assert bare != spelt

    def test_without_a_key_there_is_none(self) -> None:
        assert draft().idempotency is None

    def test_two_different_keys_are_refused(self) -> None:
        body = {"name": "x", "idempotency_key": "a"}
        assert refusals(body, header_key="b") == {"/idempotency_key": "another key"}

    def test_a_key_of_another_kind_is_refused_beside_a_header_too(self) -> None:
        body = {"name": "x", "idempotency_key": ["a"]}
        assert "/idempotency_key" in refusals(body, header_key="b")

    @pytest.mark.parametrize("key", ["", "k" * 256, "a\tb", "a\x7f"])
    def test_a_key_beside_the_body_has_its_bounds(self, key: str) -> None:
        assert list(refusals({"name": "x"}, header_key=key)) == ["header:Idempotency-Key"]

    def test_a_key_in_the_body_must_be_printable(self) -> None:
        found = refusals({"name": "x", "idempotency_key": "a\nb"})
        assert found == {"/idempotency_key": "unprintable characters"}


def test_limits_are_settings() -> None:
    limits = InputLimits(labels=1, idempotency_key_chars=3)
    to_draft({"name": "x", "labels": {"a": ""}}, header_key="abc", source="rest", limits=limits)
    with pytest.raises(InvalidInput) as caught:
        to_draft(
            {"name": "x", "labels": {"a": "", "b": ""}},
            header_key="abcd",
            source="rest",
            limits=limits,
        )
    pointers = [violation.pointer for violation in caught.value.violations]
    assert pointers == ["/labels", "header:Idempotency-Key"]


@pytest.mark.parametrize(
    ("sent", "stored"),
    [(TRACEPARENT, TRACEPARENT), ("rubbish", None), (TRACEPARENT + "\n", None), ("", None)],
)
def test_only_a_valid_traceparent_is_stored(sent: str, stored: str | None) -> None:
    assert to_draft({"name": "x"}, source="rest", traceparent=sent).traceparent == stored


@given(st.dictionaries(st.text("abc/é"), JSON_VALUES))
def test_a_payload_is_stored_as_it_came(payload: dict[str, object]) -> None:
    stored = draft(payload=payload, type="other").payload
    assert stored is not None
    assert parse(stored.encode()) == payload


KNOWN = st.sampled_from([*CreateTask.model_fields, "delay_min_s", "unknown"])


@given(
    st.one_of(
        JSON_VALUES,
        st.dictionaries(KNOWN, JSON_VALUES),
        st.dictionaries(KNOWN, JSON_VALUES).map(lambda fields: {"name": "x", **fields}),
    ),
    st.none() | st.text(),
)
def test_any_json_is_a_request_or_refused(body: object, header_key: str | None) -> None:
    try:
        made = to_draft(body, header_key=header_key, source="rest")
    except InvalidInput as error:
        assert error.violations  # noqa: PT017  (both ends are fine)
        return
    assert isinstance(made, TaskDraft)
