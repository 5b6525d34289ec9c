"""For tests of programs that use Taskmill: run handlers directly, and use a service in memory.

    def test_an_invoice_is_sent_once_the_printer_answers():
        first = attempt(send_invoice, order=7)
        assert first.result == {"sent": True}

    def test_an_order_asks_for_its_invoice():
        service = ServiceInMemory(app)
        place_order(service.client(), order=7)
        [task] = service.tasks
        assert (task.type, task.payload) == ("send-invoice", {"order": 7})
        service.run_all()
        assert task.status == "succeeded"

Nothing here needs PostgreSQL, a broker or a network.
"""

from taskmill.domain.extras import needing

with needing(__name__, extra="worker"):
    from taskmill.testing.attempts import Attempted, Line, attempt, attempt_async
    from taskmill.testing.service import ServiceInMemory

__all__ = ["Attempted", "Line", "ServiceInMemory", "attempt", "attempt_async"]
