"""The bar is drawn on a terminal for many items, and nowhere else."""

import io

import pytest

from optophone.cli.progress import Progress


class Terminal(io.StringIO):
    """Standard error as a terminal."""

    def isatty(self) -> bool:
        return True


def drawn(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, n_items: int, quiet: bool = False) -> str:
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    with Progress(n_items, quiet) as progress:
        for _ in range(n_items):
            progress.advance()
    return stream.getvalue()


def test_many_items_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    text = drawn(monkeypatch, Terminal(), 4)
    assert "2/4" in text
    assert text.endswith("\r")  # wiped at the end
    assert "\n" not in text


@pytest.mark.parametrize(
    ("stream", "n_items", "quiet"), [(io.StringIO, 4, False), (Terminal, 1, False), (Terminal, 4, True)]
)
def test_silence(monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO], n_items: int, quiet: bool) -> None:
    assert drawn(monkeypatch, stream(), n_items, quiet) == ""
