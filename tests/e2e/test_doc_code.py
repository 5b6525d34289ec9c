"""The Python on the how-to pages runs as it is printed."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support.processes import ROOT

BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def code(page: str) -> list[str]:
    return BLOCK.findall((ROOT / "docs" / "how-to" / page).read_text(encoding="utf-8"))


def test_the_tests_of_the_page_on_testing_pass_with_the_app_of_the_page_on_handlers(
    tmp_path: Path,
) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "tasks.py").write_text(code("own-handlers.md")[0])
    (tmp_path / "test_shop.py").write_text("\n".join(code("test-your-handlers.md")))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_shop.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{tmp_path}"},  # noqa: TID251 - for the child
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "3 passed" in done.stdout, done.stdout + done.stderr
