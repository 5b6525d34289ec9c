"""What somebody may see whose API key grants a right for some queues only."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from taskmill.domain.api_keys import ApiKey, ApiKeyDraft
from taskmill.domain.blockers import BlockerName
from taskmill.domain.explain_snapshot import OpenLease
from taskmill.domain.explanation import explain
from taskmill.domain.grants import Grant, Scope
from taskmill.domain.visibility import Visibility
from tests.support.explain_snapshots import waiting

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def of(grant: str) -> Visibility:
    draft = ApiKeyDraft(name="billing", grants=(Grant.parse(grant),))
    key = ApiKey(id="0123456789abcdEF", draft=draft, created_at=NOW)
    return Visibility(key=key, scopes=(Scope.TASKS_READ,))


def a_lease(*queues: str) -> OpenLease:
    return OpenLease(
        id=UUID(int=1),
        worker="w",
        queues=frozenset(queues),
        types=frozenset({"*"}),
        slots=1,
        running=0,
        renewed_at=NOW,
        expires_at=NOW + timedelta(seconds=30),
    )


BILLING = of("tasks:read queue=billing.*")


def test_queues_are_seen_by_the_patterns_of_the_right_that_is_needed() -> None:
    assert BILLING.shows("billing.cards")
    assert not BILLING.shows("billing")
    assert not of("tasks:create queue=billing.*").shows("billing.cards")


def test_of_a_worker_only_visible_queues_are_seen() -> None:
    shared = replace(a_lease("billing.a"), is_shared=True)
    assert a_lease().limited_to(BILLING) == replace(a_lease(), is_shared=True), "it serves all"
    assert a_lease("mail", "billing.a").limited_to(BILLING) == shared
    assert a_lease("billing.b", "billing.a").limited_to(BILLING) == a_lease(
        "billing.a", "billing.b"
    )
    assert a_lease("mail").limited_to(BILLING) is None


def test_of_a_shared_worker_only_the_type_of_the_task_is_named() -> None:
    own = replace(a_lease("billing.a"), types=frozenset({"charge", "refund"}))
    mixed = replace(own, queues=frozenset({"billing.a", "mail"}))
    shared = mixed.limited_to(BILLING)
    assert shared is not None
    assert own.named_types("charge") == {"charge", "refund"}
    assert shared.named_types("charge") == {"charge"}
    assert shared.named_types("other") == frozenset()
    assert shared.takes_type("refund"), "what it runs is known, and not told"
    limited = waiting(queue="billing.a", type="other", now=NOW, leases=(mixed,)).limited_to(BILLING)
    [blocker] = [one for one in explain(limited).blockers if one.name is BlockerName.NO_WORKER]
    assert blocker.sentence == "1 worker lives, but none runs type other; they run others."
    assert "refund" not in str(blocker.facts)


def test_an_explanation_for_somebody_limited_is_of_workers_of_their_queues() -> None:
    everything = waiting(leases=(a_lease("mail"), a_lease("billing.a")))
    assert everything.limited_to(None) is everything
    limited = everything.limited_to(BILLING)
    assert limited.is_limited
    assert limited.leases == (a_lease("billing.a"),)


def test_queues_that_a_key_names_are_known_though_they_may_not_be_there() -> None:
    assert of("tasks:read queue=mail,billing.*").named == {"mail"}
    assert of("tasks:create queue=mail").named == frozenset()
    assert of("tasks:read queue=mail,billing.*").of(["mail", "billing.a", "x"]) == {
        "mail",
        "billing.a",
    }
