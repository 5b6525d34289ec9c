"""What a program in Python does with a client made from the document."""
# ruff: noqa: T201 - a program of its own, which prints

import sys

from taskmill_client import Client
from taskmill_client.api.tasks import create_task, get_task, list_tasks
from taskmill_client.api.webhooks import create_webhook, list_deliveries
from taskmill_client.models import (
    CreatedTaskView,
    CreateTask,
    CreateWebhook,
    DeliveryState,
    Problem,
    Status,
)

client = Client(base_url=sys.argv[1])
created = create_task.sync(client=client, body=CreateTask(name="from Python"))
assert isinstance(created, CreatedTaskView), created
read = get_task.sync(client=client, id=created.id)
print(read.name, read.status.value)
print(len(list_tasks.sync(client=client, status=[Status.NEW], limit=10).items))
webhook = create_webhook.sync(client=client, body=CreateWebhook(url="https://example.org/hooks"))
found = list_deliveries.sync(client=client, id=webhook.id, state=[DeliveryState.PENDING])
print(len(found.items))
refused = create_task.sync(client=client, body=CreateTask(name=""))
assert isinstance(refused, Problem), refused
print(refused.status, refused.errors[0].pointer)
