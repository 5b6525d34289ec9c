"""The script that makes the passwords of compose.yaml."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.contract.test_containers import ROOT, SECRETS


@pytest.fixture
def maker(tmp_path: Path) -> Path:
    """The script that makes the secrets, in a clone of its own."""
    (tmp_path / "deploy").mkdir()
    return Path(shutil.copy(ROOT / "deploy/make-secrets", tmp_path / "deploy"))


def test_secrets_are_made_once_and_only_their_owner_reads_them(maker: Path) -> None:
    env = maker.parents[1] / ".env"
    env.write_text(
        "API_PORT=9000\nPOSTGRES_APP_PASSWORD=chosen-by-hand\nRABBITMQ_PASSWORD=", "utf-8"
    )
    env.chmod(0o644)
    subprocess.run([maker], check=True, capture_output=True)  # noqa: S603 - our own script
    text = env.read_text("utf-8")
    assert env.stat().st_mode & 0o777 == 0o600
    made = dict(re.findall(r"^(\w+)=(.+)$", text, re.MULTILINE))
    assert made.keys() == {"API_PORT", "GRAFANA_PASSWORD", *SECRETS}
    assert made["POSTGRES_APP_PASSWORD"] == "chosen-by-hand"  # noqa: S105 - no secret
    random = [made[name] for name in SECRETS if name != "POSTGRES_APP_PASSWORD"]
    assert all(re.fullmatch("[0-9a-f]{48}", one) for one in random)
    assert len(set(random)) == len(random)
    subprocess.run([maker], check=True, capture_output=True)  # noqa: S603 - see above
    assert env.read_text("utf-8") == text
