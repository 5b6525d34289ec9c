"""The commands for the system as a whole: queue, worker, stats, health."""


import click

from taskmill.cli import show
from taskmill.cli.server import json_option, open_client, url_option

__all__ = ["health", "queue", "stats", "worker"]


@click.group()
def queue() -> None:
    """List, pause and resume queues."""


@queue.command("list")
@url_option
@json_option
def queue_list(*, url: str, as_json: bool) -> None:
    """List queues with their tasks by status."""
    with open_client(url) as client:
        _print(client.queues(), as_json=as_json, first="name")


@queue.command()
@click.argument("name")
@url_option
def pause(*, name: str, url: str) -> None:
    """Stop handing out a queue's tasks; running ones go on."""
    with open_client(url) as client:
        client.pause_queue(name)
    show.line(name, show.status("in_progress", "paused"))


@queue.command()
@click.argument("name")
@url_option
def resume(*, name: str, url: str) -> None:
    """Hand out a queue's tasks again."""
    with open_client(url) as client:
        client.resume_queue(name)
    show.line(name, show.status("succeeded", "resumed"))


@click.group()
def worker() -> None:
    """List workers."""


@worker.command("list")
@url_option
@json_option
def worker_list(*, url: str, as_json: bool) -> None:
    """List workers: what they serve, and how much they run."""
    with open_client(url) as client:
        _print(client.workers(), as_json=as_json, first="id")
