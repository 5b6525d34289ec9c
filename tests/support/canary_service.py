"""A service with canaries in its secrets: its commands, its client, and requests with secrets in wrong places."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

import httpx

from taskmill.embedded.postgres import EmbeddedPostgres
from tests.support.canaries import Canaries
from tests.support.polling import wait_until
from tests.support.processes import ROOT

_EVENT_LINES: Final = 60


def variable(setting: str) -> str:
    return f"TASKMILL_{setting.replace('.', '__').upper()}"


def with_login(url: str, user: str, password: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{user}:{password}@{host}").geturl()


@dataclass(frozen=True, kw_only=True)
class System:
    """The servers, the settings with a secret in each that has one, and what was seen."""

    folder: Path
    postgres: EmbeddedPostgres
    environment: Mapping[str, str]
    canaries: Canaries

    def command(self, *words: str, **environment: str) -> str:
        """Run a command, and return its output; what it wrote beside that is seen."""
        inherited = {name: v for name, v in os.environ.items() if not name.startswith("TASKMILL_")}  # noqa: TID251 - for a child
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "taskmill", *words],
            env={**inherited, "PYTHONPATH": str(ROOT / "src"), **self.environment, **environment},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.canaries.see(f"errors of {' '.join(words[:2])}", done.stderr)
        return done.stdout

    def see_command(self, *words: str, **environment: str) -> None:
        """Run a command whose output everybody may see."""
        self.canaries.see(" ".join(words[:2]), self.command(*words, **environment))

    def new_key(self, name: str, *grants: str) -> str:
        """Make an API key, which is a secret."""
        words = [word for grant in grants for word in ("--grant", grant)]
        owner = {"TASKMILL_DATABASE_URL": self.postgres.url}
        text = self.command("key", "create", name, *words, **owner).strip()
        return self.canaries.add(f"key {name}", text)


class Client:
    """Sends requests, and sees every response but those that `secret` returns."""

    def __init__(self, system: System, url: str) -> None:
        self._canaries = system.canaries
        self._http = httpx.Client(base_url=url, timeout=20)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def secret(self, method: str, path: str, key: str = "", **options: Any) -> httpx.Response:  # noqa: ANN401 - httpx's own
        """Return a response that has a secret for the one who asks."""
        response = self._response(method, path, key, options)
        assert response.is_success or response.status_code == 303, response.text
        return response

    def see(self, method: str, path: str, key: str = "", **options: Any) -> httpx.Response:  # noqa: ANN401 - httpx's own
        """Send a request, with a key or without."""
        response = self._response(method, path, key, options)
        text = f"{response.headers.multi_items()}\n{response.text}"
        self._canaries.see(f"{method} {path[:30]}", text)
        return response

    def until_read(self, path: str, key: str) -> None:
        """Read something; connections to the database may still be broken."""
        wait_until(lambda: self.see("GET", path, key).status_code == 200, f"GET {path}")

    def see_events(self, key: str) -> None:
        """Read the beginning of the feed."""
        headers = {"authorization": f"Bearer {key}"}
        with self._http.stream("GET", "/events?after=0", headers=headers) as response:
            for number, line in enumerate(response.iter_lines()):
                self._canaries.see("events", line)
                if number == _EVENT_LINES:
                    return

    def _response(
        self, method: str, path: str, key: str, options: dict[str, Any]
    ) -> httpx.Response:
        shown = {"authorization": f"Bearer {key}"} if key else {}
        headers = {**shown, **options.pop("headers", {})}
        return self._http.request(method, path, headers=headers, **options)


def show_badly(client: Client, secret: str) -> None:
    """Show a key or a token in ways that are not served."""
    for headers in (
        {"authorization": f"Basic {secret}"},
        {"authorization": f"Bearer {secret} more"},
        {"authorization": f"Bearer {secret[:-1]}"},
        {"x-api-key": secret},
        {"cookie": f"taskmill_session={secret}x"},
    ):
        client.see("GET", "/tasks", headers=headers)
        client.see("GET", "/ui/tasks", headers=headers)
    for form in ({"name": secret}, {"key": f"{secret}x"}, {"key": secret, "next": secret}):
        client.see("POST", "/ui/login", data=form)


def ask_for(client: Client, secret: str) -> None:
    """Have an API key in queries and paths; pages repeat their own addresses to who opens them."""
    pages = ("/tasks", "/audit", "/nowhere", "/webhooks")
    names = ("key", "cursor", "queue", "limit", "status", "order", "since")
    for path in (f"{page}?{name}={secret}" for page in pages for name in names):
        client.see("GET", path, secret)
    for path in (f"/tasks/{secret}", f"/{secret}", f"/queues/{secret}"):
        for method in ("GET", "POST", "DELETE"):
            client.see(method, path, secret)


def send(client: Client, secret: str) -> None:
    """Have an API key in bodies and headers."""
    for body in (secret.encode(), f'{{"key": "{secret}'.encode()):
        client.see("POST", "/tasks", secret, content=body)
    client.see("POST", "/tasks", secret, json={"name": "x", "api_key": secret, "queue": secret})
    for name in ("content-type", "traceparent"):
        client.see("POST", "/tasks", secret, content=b"{}", headers={name: secret})
    client.see("PUT", "/types/mine", secret, json={"payload_schema": secret})
    client.see("POST", "/webhooks", secret, json={"url": f"https://u:{secret}@example.org/"})
    client.see("POST", "/webhooks", secret, json={"url": "https://example.org/", "secret": secret})
    client.see("POST", "/leases", secret, json={"worker": "w", "types": [f"{secret} "]})


def bad_pushes(header: str) -> list[dict[str, object]]:
    """Payloads of pushes that are refused."""
    url = "https://example.org/"
    return [
        {"url": f"https://u:{header}@example.org/"},
        {"url": url, "headers": {"Bad Name": header}},
        {"url": url, "headers": {"A": f"{header}\N{LATIN SMALL LETTER E WITH ACUTE}"}},
        {"url": url, "headers": header},
        {"url": url, "headers": {"A": header, "a": header}},
        {"headers": {"A": header}},
    ]
