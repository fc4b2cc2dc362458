"""`python -m daemon preview`: every message of every decline, in files that anybody can open."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from daemon import __main__ as daemon
from recovery.declines import DeclineClass
from recovery.message_schedule import SEQUENCES

ROOT = Path(__file__).resolve().parent.parent


def test_it_writes_what_its_index_lists(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys):
    folder = tmp_path / "some" / "folder"
    monkeypatch.setattr(sys, "argv", ["daemon", "preview", str(folder)])
    assert daemon.main() == 0
    expected = {
        f"{step}-{decline_class}.{ending}"
        for decline_class in DeclineClass
        for step in SEQUENCES[decline_class]
        for ending in ("html", "txt", "md")
    }
    assert {path.name for path in folder.iterdir()} == expected | {"index.html"}
    assert set(re.findall(r'href="([^"]+)"', (folder / "index.html").read_text())) == expected
    assert f"{len(expected) // 3} messages" in capsys.readouterr().out
    text = (folder / "last_day-card.txt").read_text()
    assert text.startswith("Subject: One day left to keep Marathon Training Pro\n\nNorthside")


@pytest.mark.slow
def test_it_needs_no_settings_and_no_database(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "daemon", "preview"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "preview" / "index.html").exists()
