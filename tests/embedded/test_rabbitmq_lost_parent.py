"""What is left of a RabbitMQ node when its parent is killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from taskmill.embedded.rabbitmq import EmbeddedRabbitMQ
from tests.support.polling import wait_until
from tests.support.rabbitmq import FAST_SETTINGS, processes_of

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="other kernels do not tell a child that its parent died"
)

OWNER = """
import sys
from pathlib import Path
from taskmill.embedded.rabbitmq import EmbeddedRabbitMQ
node = EmbeddedRabbitMQ(Path(sys.argv[1]))
node.start()
if sys.argv[2] == "ready":
    node.wait_until_ready()
print(node.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("when", ["starting", "ready"])
def test_a_killed_parent_leaves_no_process(tmp_path: Path, when: str) -> None:
    folder = tmp_path / "rabbitmq"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # noqa: TID251 - a child
    environment.pop("HOME", None)  # as under some service managers
    with subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, "-c", OWNER, str(folder), when],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as owner:
        assert owner.stdout
        pid = int(owner.stdout.readline())
        assert pid in processes_of(folder)
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    wait_until(lambda: not processes_of(folder), "the server, epmd and all else have ended")
    with EmbeddedRabbitMQ(folder, settings=FAST_SETTINGS) as node:
        assert node.pid != pid, "the folder is free at once"
