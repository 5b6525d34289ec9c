"""The shop: customers place orders, Taskmill calls it to charge cards and to write receipts.

uvicorn checkout.app:app --port 9000
"""

import logging
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Path, Request
from fastapi.responses import JSONResponse
from standardwebhooks import Webhook, WebhookVerificationError

from checkout import bank, settings
from checkout.store import Call, Order, StaleCallError, Store, Wanted
from taskmill import Client
from taskmill.client import ClientError

log = logging.getLogger(__name__)
config = settings.load()
store = Store(config.folder)
taskmill = Client(config.taskmill_url)
app = FastAPI(title="Checkout")

OrderId = Annotated[str, Path(pattern=r"^[a-z0-9-]{1,40}$")]


@app.put("/orders/{order_id}", status_code=202, response_model_exclude={"card"})
def place(order_id: OrderId, wanted: Wanted) -> Order:
    """Place an order, whose id is the customer's: a repeated request, after a lost response, orders once."""
    order = store.place(order_id, wanted)
    if Wanted(**order.model_dump(include=set(Wanted.model_fields))) != wanted:
        raise HTTPException(409, "there is another order of this id")
    if order.state == "placed":
        create_task("charge", order_id)
    return order


@app.get("/orders/{order_id}", response_model_exclude={"card"})
def show(order_id: OrderId) -> Order:
    """Show an order."""
    try:
        return store.order(order_id)
    except KeyError:
        raise HTTPException(404, "there is no such order") from None


def create_task(step: str, order_id: str) -> None:
    """Create the task of a step. Repeating it gives the same task, so it is always safe."""
    taskmill.create(
        f"{step} {order_id}",
        type="http",
        payload={"url": f"{config.own_url}/work/{step}", "body": {"order": order_id}},
        queue="checkout",
        max_attempts=10,
        retry={"base_s": 1, "factor": 2, "max_s": 600},
        labels={"order": order_id, "step": step},
        callback_url=f"{config.own_url}/events",
        idempotency_key=f"{step}-{order_id}",
    )


async def call(request: Request) -> Any:  # noqa: ANN401 - any JSON
    """Return the body of a call."""
    return await verified(request, config.calls_key)


async def event(request: Request) -> Any:  # noqa: ANN401 - any JSON
    """Return an event. A call is none, whatever its body: it is signed with another key."""
    return await verified(request, config.events_key)


async def verified(request: Request, key: str) -> Any:  # noqa: ANN401 - any JSON
    """Return the body of a request that Taskmill signed with this key within the last minutes."""
    try:
        return Webhook(key).verify(await request.body(), dict(request.headers))
    except WebhookVerificationError as error:
        raise HTTPException(401, str(error)) from None


def identify(request: Request) -> Call:
    """Identify a call of Taskmill by its headers."""
    headers = request.headers
    return Call(id=headers["webhook-id"], claim_no=int(headers["taskmill-claim-no"]))


CallBody = Annotated[Any, Depends(call)]
Event = Annotated[Any, Depends(event)]


@app.post("/work/charge")
def charge(body: CallBody, request: Request) -> dict[str, str]:
    """Charge the card of an order, once, however often Taskmill calls."""
    call, order = identify(request), show(body["order"])
    result = begin(call)
    if result is None:
        try:
            # The bank gets a key, too: we may die before `finish` has stored the result.
            key = f"order-{order.id}"
            bank.charge(config.folder / "bank.db", key=key, card=order.card, cents=order.cents)
        except bank.BusyError:
            # Taskmill tries again after this time, while attempts are left.
            raise HTTPException(503, "the bank is busy", headers={"Retry-After": "1"}) from None
        except bank.DeclinedError:
            # No further attempt would help: the task fails at once.
            raise HTTPException(402, "the card was declined") from None
        result = f"charged {order.cents / 100:.2f}"
        store.finish(call, result)
    return {"done": result}


@app.post("/work/receipt")
def receipt(body: CallBody, request: Request) -> dict[str, str]:
    """Write the receipt of an order, in one transaction with the result of the call."""
    call, order = identify(request), show(body["order"])
    result = begin(call)
    if result is None:
        result = f"{order.item}: {order.cents / 100:.2f}, paid"
        store.finish(call, result, receipt=(order.id, result))
    return {"done": result}


def begin(call: Call) -> str | None:
    """Return the result of an earlier attempt of this call, if there is one."""
    try:
        return store.begin(call)
    except StaleCallError:
        raise HTTPException(409, "another worker has this task") from None


@app.post("/events", status_code=204)
def handle_event(event: Event) -> None:
    """Continue with the next step when a task has ended; an event that fails here is sent again."""
    task = event["data"]
    order_id = task["labels"]["order"]
    match task["labels"]["step"], task["status"]:
        case "charge", "succeeded":
            create_task("receipt", order_id)
            store.advance(order_id, "paid")
        case "charge", _:
            store.advance(order_id, "unpaid", reason=(task["error"] or {}).get("message"))
        case "receipt", "succeeded":
            store.advance(order_id, "done")


@app.exception_handler(ClientError)
def taskmill_is_away(request: Request, error: Exception) -> JSONResponse:
    """Respond while Taskmill can't be reached, or takes no tasks."""
    log.warning("%s %s: %s", request.method, request.url.path, error)
    return JSONResponse({"detail": "please ask again"}, 503, {"Retry-After": "5"})
