"""Generates src/taskmill/client/views from models in `wire`, so that clients need no pydantic.

`python scripts/client_views.py` writes it; `tests/architecture/test_client_views.py` fails while the two differ.
A new response of the client is added to `WANTED`.
"""
# ruff: noqa: INP001 - a program of its own

import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import wrap
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

from taskmill.wire.attention import AttentionView  # noqa: E402 - the source beside this script
from taskmill.wire.audit import AuditEntryList  # noqa: E402
from taskmill.wire.batches import BatchCreated  # noqa: E402
from taskmill.wire.doctor import DoctorReportView  # noqa: E402
from taskmill.wire.explanations import ExplanationView  # noqa: E402
from taskmill.wire.failure_samples import FailureSampleView  # noqa: E402
from taskmill.wire.failures import FailureKindDetails, FailureKindList  # noqa: E402
from taskmill.wire.feed import ChangeView  # noqa: E402
from taskmill.wire.jobs import JobList  # noqa: E402
from taskmill.wire.problems import Problem  # noqa: E402
from taskmill.wire.queues import QueueList  # noqa: E402
from taskmill.wire.rejections import RejectionList, RejectionView  # noqa: E402
from taskmill.wire.schedule_previews import SchedulePreviewView  # noqa: E402
from taskmill.wire.schedule_views import BackfillView, FireList, ScheduleList  # noqa: E402
from taskmill.wire.sessions import LoginLinkView, SessionList  # noqa: E402
from taskmill.wire.sweeps import SweepView  # noqa: E402
from taskmill.wire.system import EventList, StatsView, WorkerList  # noqa: E402
from taskmill.wire.task_log import LogPage  # noqa: E402
from taskmill.wire.tasks import CreateTask, TaskList  # noqa: E402
from taskmill.wire.types import TypeList, TypeView  # noqa: E402
from taskmill.wire.webhooks import CallbackView, DeliveryList, WebhookList  # noqa: E402

FOLDER: Final = ROOT / "src/taskmill/client/views"
WANTED: Final[tuple[type[BaseModel], ...]] = (
    AttentionView,
    AuditEntryList,
    BackfillView,
    BatchCreated,
    CallbackView,
    ChangeView,
    DeliveryList,
    DoctorReportView,
    EventList,
    ExplanationView,
    FailureKindDetails,
    FailureKindList,
    FailureSampleView,
    FireList,
    JobList,
    LogPage,
    LoginLinkView,
    Problem,
    QueueList,
    RejectionList,
    RejectionView,
    ScheduleList,
    SchedulePreviewView,
    SessionList,
    StatsView,
    SweepView,
    TaskList,
    TypeList,
    TypeView,
    WebhookList,
    WorkerList,
)
"""What the client reads; what is within these, or a base of theirs, is generated, too."""

_PACKAGE: Final = (
    '"""What the client returns, generated from `taskmill.wire` by `scripts/client_views.py`: '
    'a module for each."""\n'
)
_TASK_FIELDS: Final = '''class TaskFields(TypedDict, total=False):
    """The fields of a task beside its name, as in the body of `POST /tasks`; times need a zone."""

{fields}'''
_WIDTH: Final = 108
_ALWAYS_IMPORTED: Final = "taskmill.domain.lifecycle"


def write(folder: Path) -> None:
    """Write the package into a folder."""
    modules: Mapping[str, list[type[BaseModel]]] = defaultdict(list)
    for model in _all_models():
        modules[_module_of(model)].append(model)
    (folder / "__init__.py").write_text(_PACKAGE, encoding="utf-8")
    for name, models in modules.items():
        (folder / f"{name}.py").write_text(_module(name, models), encoding="utf-8")
    _tidy(folder)


def _all_models() -> list[type[BaseModel]]:
    """Return the models in an order in which each follows what it needs."""
    found: dict[type[BaseModel], None] = {}

    def add(model: type[BaseModel]) -> None:
        for needed in (*_parents(model), *_models_in(model)):
            if needed not in found and needed is not model:
                add(needed)
        found[model] = None

    for model in WANTED:
        add(model)
    return list(found)


def _parents(model: type[BaseModel]) -> list[type[BaseModel]]:
    return [one for one in model.__bases__ if issubclass(one, BaseModel) and one is not BaseModel]


def _models_in(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for kind in _kinds(model):
        if issubclass(kind, BaseModel):
            yield kind


def _kinds(model: type[BaseModel]) -> Iterator[type]:
    """Yield all classes in the annotations of a model's own fields."""
    waiting = [field.annotation for field in _own_fields(model).values()]
    while waiting:
        kind = waiting.pop()
        origin, arguments = get_origin(kind), get_args(kind)
        if origin is not Literal:
            waiting += arguments[:1] if origin is Annotated else arguments
        if isinstance(kind, type) and origin is None:
            yield kind


def _own_fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    inherited = {name for parent in _parents(model) for name in parent.model_fields}
    return {name: field for name, field in model.model_fields.items() if name not in inherited}


def _module_of(model: type) -> str:
    return model.__module__.rpartition(".")[2]


def _module(name: str, models: list[type[BaseModel]]) -> str:
    title = (
        f'"""What the client returns of `taskmill.wire.{name}`, which this is generated from."""'
    )
    kinds = {kind for model in models for kind in (*_parents(model), *_kinds(model))}
    words = sorted(filter(_is_lazy, kinds), key=lambda kind: kind.__name__)
    imports = {
        _import_of(kind) for kind in kinds if not _is_lazy(kind) and _module_of(kind) != name
    }
    imports |= {f"from taskmill.client.view import {_base(model)}" for model in models}
    classes = "\n\n".join(_class(model) for model in models)
    parts = [title, "from __future__ import annotations", "\n".join(sorted(filter(None, imports)))]
    parts += ["from collections.abc import Mapping, Sequence"]
    parts += ["from typing import TYPE_CHECKING, Any, Literal, TypedDict", _words(words), classes]
    if name == "tasks":
        parts.append(_task_fields())
    return "\n\n".join(filter(None, parts)) + "\n"


def _task_fields() -> str:
    """Return the class of what a caller may give of a new task."""
    fields = "\n".join(
        f"    {name}: {_given(field.annotation)}"
        for name, field in CreateTask.model_fields.items()
        if name != "name"
    )
    return _TASK_FIELDS.format(fields=fields)


def _given(kind: Any) -> str:  # noqa: ANN401 - any annotation
    """Write an annotation as source, for what a caller gives: anything that becomes this in JSON."""
    arguments = get_args(kind)
    match get_origin(kind):
        case None if kind is datetime:
            return "datetime | str"
        case None if isinstance(kind, type) and issubclass(kind, BaseModel):
            return "Mapping[str, Any]"
        case origin if origin in (Union, UnionType):
            return " | ".join(map(_given, arguments))
        case origin if origin is Annotated:
            return _given(arguments[0])
        case origin if origin in (dict, list):
            name = "Mapping" if origin is dict else "Sequence"
            return f"{name}[{', '.join(map(_given, arguments))}]"
        case _:
            return _annotation(kind)


def _is_lazy(kind: type) -> bool:
    """Return whether a class is imported when the first view with it is read: few programs read all views."""
    return kind.__module__.startswith("taskmill.domain.") and kind.__module__ != _ALWAYS_IMPORTED


def _words(kinds: list[type]) -> str:
    if not kinds:
        return ""
    imports = "\n".join(f"    {_import_of(kind)}" for kind in kinds)
    homes = ", ".join(f'"{kind.__name__}": "{kind.__module__}"' for kind in kinds)
    return f"if TYPE_CHECKING:\n{imports}\n\nIMPORTED_LATER = {{{homes}}}"


def _import_of(kind: type) -> str:
    if issubclass(kind, BaseModel):
        return f"from taskmill.client.views.{_module_of(kind)} import {kind.__name__}"
    return "" if kind.__module__ == "builtins" else f"from {kind.__module__} import {kind.__name__}"


def _base(model: type[BaseModel]) -> str:
    return "OpenView" if model.model_config.get("extra") == "allow" else "View"


def _class(model: type[BaseModel]) -> str:
    base = next((parent.__name__ for parent in _parents(model)), _base(model))
    fields = "".join(map(_field, _own_fields(model), _own_fields(model).values()))
    return f'class {model.__name__}({base}):\n    """{model.__doc__}"""\n\n{fields}'


def _field(name: str, field: FieldInfo) -> str:
    if field.alias is not None:
        raise ValueError(f"{name} has another name in JSON, which a view can't have")
    default = "" if field.is_required() else f" = {_default(field.default)}"
    return f"    {name}: {_annotation(field.annotation)}{default}\n{_explained(field.description)}"


def _default(value: object) -> str:
    return repr(value)


def _explained(text: str | None) -> str:
    """Return the meaning of a field as editors show it."""
    if not text:
        return ""
    lines = wrap(text, _WIDTH)
    mark = "r" if "\\" in text else ""
    if len(lines) == 1 and len(text) < _WIDTH - 6:
        return f'    {mark}"""{text}"""\n'
    body = "".join(f"    {line}\n" for line in lines)
    return f'    {mark}"""\n{body}    """\n'


def _annotation(kind: Any) -> str:  # noqa: ANN401 - any annotation
    """Write an annotation as source."""
    arguments = get_args(kind)
    match get_origin(kind):
        case None if kind is Any:
            return "Any"
        case None:
            return "None" if kind is NoneType else str(kind.__name__)
        case origin if origin in (Union, UnionType):
            return " | ".join(map(_annotation, arguments))
        case origin if origin is Annotated:
            return _annotation(arguments[0])
        case origin if origin is Literal:
            return f"Literal[{', '.join(map(repr, arguments))}]"
        case origin:
            return f"{origin.__name__}[{', '.join(map(_annotation, arguments))}]"


def _tidy(folder: Path) -> None:
    """Remove what is not used, sort the imports, and format."""
    ruff = [sys.executable, "-m", "ruff"]
    options = ["--config", str(ROOT / "pyproject.toml"), "--no-cache", "--quiet", str(folder)]
    first_party = ["--config", "lint.isort.known-first-party = ['taskmill']"]
    fixes = ["check", "--select", "I,F401", "--fix", *first_party]
    subprocess.run([*ruff, *fixes, *options], check=True)  # noqa: S603 - our own
    subprocess.run([*ruff, "format", *options], check=True)  # noqa: S603 - our own


def main() -> None:
    """Replace the package."""
    with TemporaryDirectory(dir=ROOT) as made:
        write(Path(made))
        for old in FOLDER.glob("*.py"):
            old.unlink()
        for file in Path(made).glob("*.py"):
            (FOLDER / file.name).write_bytes(file.read_bytes())


if __name__ == "__main__":
    main()
