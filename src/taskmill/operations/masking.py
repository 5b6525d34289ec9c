"""Decides for whom secret values of a payload are masked.

Workers get tasks by other ways, as they are.
"""

from collections.abc import Sequence
from functools import partial

from taskmill.domain.api_keys import ApiKey
from taskmill.domain.grants import Scope
from taskmill.domain.task import Task
from taskmill.operations.contracts import Contracts
from taskmill.runtime.offload import LARGE_BYTES
from taskmill.wire.contracts.secret_fields import SecretFields
from taskmill.wire.masking import (
    ShownTask,
    cost,
    has_secrets,
    masked,
    masked_template,
    plain,
    template_without_secrets,
    without_content,
    without_secrets,
)


class Masking:
    """Returns tasks as readers may see them.

    A reader is a key. None is everybody where no keys are required, who may see everything; with `is_page` they
    may not, as a screen is seen by others, too.
    """

    def __init__(self, contracts: Contracts) -> None:
        self._secrets = contracts.secrets
        self._offload = contracts.offload

    def shown(self, key: ApiKey | None, task: Task, *, is_page: bool = False) -> ShownTask:
        """Return the task for a reader, however long a payload that has to be read."""
        if self._may_see_all(key, task, is_page=is_page):
            return plain(task)
        return masked(task, self._secrets.get(task.type))

    def shown_at_once(self, key: ApiKey, task: Task) -> ShownTask | None:
        """Return the task for a reader, None if `shown` would block the event loop."""
        secrets = self._secrets.get(task.type)
        if not has_secrets(task, secrets) or key.permits(Scope.TASKS_READ_SECRET, queue=task.queue):
            return plain(task)
        return None if cost(task, secrets) > LARGE_BYTES else masked(task, secrets)

    async def show(self, key: ApiKey | None, task: Task, *, is_page: bool = False) -> ShownTask:
        """Return the task for a reader; a long payload is read off the event loop."""
        return (await self.show_all(key, (task,), is_page=is_page))[0]

    async def show_all(
        self, key: ApiKey | None, tasks: Sequence[Task], *, is_page: bool = False
    ) -> list[ShownTask]:
        """Return tasks as `show` does."""
        size = sum(self._size(key, task, is_page=is_page) for task in tasks)
        shown = partial(self.shown, key, is_page=is_page)
        return await self._offload.run_if_large(size, lambda: list(map(shown, tasks)))

    def has_secrets(self, task: Task) -> bool:
        """Return whether anything may be secret in a task."""
        return has_secrets(task, self._secrets.get(task.type))

    async def show_made(self, key: ApiKey | None, task: Task) -> ShownTask:
        """Return a task whose content its maker has not sent: only who may read it sees what it does."""
        if key is not None and not key.permits(Scope.TASKS_READ, queue=task.queue):
            return without_content(task)
        return await self.show(key, task)

    async def copy(self, key: ApiKey | None, task: Task, *, is_page: bool = False) -> Task:
        """Return the task without the secret fields that a reader may not see, to make another one like it."""
        if self._may_see_all(key, task, is_page=is_page):
            return task
        secrets = self._secrets.get(task.type)
        size = cost(task, secrets)
        return await self._offload.run_if_large(size, partial(without_secrets, task, secrets))

    async def template(
        self, key: ApiKey | None, queue: str, type_: str, task: str, *, is_page: bool = False
    ) -> str:
        """Return the body of a request to create tasks of a queue and a type, for a reader."""
        if _sees_templates(key, queue, is_page=is_page):
            return task
        secrets = self._secrets.get(type_)
        size = _template_cost(task, secrets)
        return await self._offload.run_if_large(size, partial(masked_template, task, secrets))

    async def template_copy(self, key: ApiKey | None, queue: str, type_: str, task: str) -> str:
        """Return such a body without the secret fields that a reader of pages may not see, to be changed."""
        if _sees_templates(key, queue, is_page=True):
            return task
        secrets = self._secrets.get(type_)
        size = _template_cost(task, secrets)
        return await self._offload.run_if_large(
            size, partial(template_without_secrets, task, secrets)
        )

    def _size(self, key: ApiKey | None, task: Task, *, is_page: bool) -> int:
        if self._may_see_all(key, task, is_page=is_page):
            return 0
        return cost(task, self._secrets.get(task.type))

    def _may_see_all(self, key: ApiKey | None, task: Task, *, is_page: bool) -> bool:
        """Return whether nothing in a task is secret, or not for this reader."""
        if key is None:
            return not is_page
        if not has_secrets(task, self._secrets.get(task.type)):
            return True
        return key.permits(Scope.TASKS_READ_SECRET, queue=task.queue)


def _sees_templates(key: ApiKey | None, queue: str, *, is_page: bool) -> bool:
    if key is None:
        return not is_page
    return key.permits(Scope.TASKS_READ_SECRET, queue=queue)


def _template_cost(task: str, secrets: SecretFields | None) -> int:
    return len(task) if secrets is None else len(task) + secrets.cost(task)
