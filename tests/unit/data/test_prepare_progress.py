"""Progress goes to a terminal and nowhere else."""

import sys

import pytest

from optophone.data.prepare import progress
from optophone.data.prepare.progress import show_progress


@pytest.fixture
def terminal(capsys, monkeypatch):
    """Pretends that standard error, as captured by `capsys`, is a terminal."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)


def test_quiet_without_a_terminal(capsys):
    assert list(show_progress(range(3), 3, "things")) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("terminal")
def test_plain_lines_without_tqdm(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    assert list(show_progress(iter("ab"), 5, "things", start=3)) == ["a", "b"]
    assert capsys.readouterr().err == "things: 4 of 5\nthings: 5 of 5\n"


@pytest.mark.usefixtures("terminal")
def test_a_bar_with_tqdm(capsys):
    pytest.importorskip("tqdm")
    assert list(show_progress(range(3), 3, "things")) == [0, 1, 2]
    assert "things: 100%" in capsys.readouterr().err
