"""Progress goes to a terminal and nowhere else."""

import io
import sys

import pytest

from optophone.data.prepare import progress
from optophone.data.prepare.progress import show_progress


class Terminal(io.StringIO):
    """A standard error that says it is a terminal and keeps what it is told."""

    def isatty(self) -> bool:
        return True


def test_quiet_without_a_terminal(capsys):
    assert list(show_progress(range(3), 3, "things")) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")


def test_plain_lines_without_tqdm(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    assert list(show_progress(iter("ab"), 5, "things", start=3)) == ["a", "b"]
    assert terminal.getvalue() == "things: 4 of 5\nthings: 5 of 5\n"


def test_a_bar_with_tqdm(monkeypatch):
    pytest.importorskip("tqdm")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert list(show_progress(range(3), 3, "things")) == [0, 1, 2]
    assert "things: 100%" in terminal.getvalue()
