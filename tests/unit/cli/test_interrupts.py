"""Ctrl-C where Python loses it: inside a finalizer."""

import gc
import signal
import sys
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from optophone.cli import main, sound_stream
from optophone.cli.interrupts import check_interrupt, interruptible, noticed_interrupts


class Finalized:
    """During its finalizer Ctrl-C is pressed."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


def press_inside_a_finalizer() -> None:
    item = Finalized()
    del item
    gc.collect()


def press_inside_a_callback() -> None:
    item = threading.Event()
    reference = weakref.ref(item, lambda _: signal.raise_signal(signal.SIGINT))
    del item
    assert reference() is None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("press", [press_inside_a_finalizer, press_inside_a_callback])
def test_python_alone_loses_it(press, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: lost.append(unraisable.exc_type))
    press()
    assert lost == [KeyboardInterrupt], "then nothing here is needed any more"


@pytest.mark.parametrize("press", [press_inside_a_finalizer, press_inside_a_callback])
def test_a_loop_notices_it_before_the_next_item(press, capfd: pytest.CaptureFixture) -> None:
    done: list[object] = []

    def work() -> None:
        for number in interruptible(range(10)):
            done.append(number)
            if number == 3:
                press()
                done.append("and goes on")

    with pytest.raises(KeyboardInterrupt), noticed_interrupts():
        work()
    assert done == [0, 1, 2, 3, "and goes on"]
    assert capfd.readouterr().err == "", "nothing is told of what is not lost"
    check_interrupt()  # the next command begins anew


def test_it_is_noticed_at_the_end_where_nobody_asked() -> None:
    with pytest.raises(KeyboardInterrupt), noticed_interrupts():
        press_inside_a_finalizer()


def test_each_press_raises_at_once_where_it_can() -> None:
    caught = []

    def press_twice() -> None:
        for number in range(2):
            try:
                signal.raise_signal(signal.SIGINT)
                pytest.fail("it goes on")
            except KeyboardInterrupt:
                caught.append(number)

    with pytest.raises(KeyboardInterrupt), noticed_interrupts():
        press_twice()
    assert caught == [0, 1]


def test_everything_is_put_back() -> None:
    hook = sys.unraisablehook
    with noticed_interrupts():
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        assert list(interruptible("abc")) == ["a", "b", "c"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert sys.unraisablehook is hook


def test_other_faults_of_finalizers_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: told.append(unraisable.exc_type))

    class Faulty:
        def __del__(self) -> None:
            raise ValueError

    with noticed_interrupts():
        Faulty()
    assert told == [ValueError]


def test_whoever_ignores_or_handles_it_goes_on_doing_so() -> None:
    for handler in (signal.SIG_IGN, lambda number, frame: None):
        before = signal.signal(signal.SIGINT, handler)
        try:
            with noticed_interrupts():
                assert signal.getsignal(signal.SIGINT) is handler
                signal.raise_signal(signal.SIGINT)
                check_interrupt()
        finally:
            signal.signal(signal.SIGINT, before)


def test_other_threads_do_without() -> None:
    problems: list[BaseException] = []

    def work() -> None:
        try:
            with noticed_interrupts():
                check_interrupt()
        except BaseException as error:
            problems.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert problems == []


def test_sound_stops_between_two_chunks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = []

    def chunks() -> Iterator[np.ndarray]:
        for number in range(10):
            given.append(number)
            if number == 2:
                press_inside_a_finalizer()
            yield np.zeros(8, np.float32)

    with open(tmp_path / "sound.wav", "w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        output = sound_stream.StandardOutput(22050, "wav", raw=False)
        with pytest.raises(KeyboardInterrupt), noticed_interrupts():
            output.write(chunks())
    assert given == [0, 1, 2]


def test_the_command_line_leaves_with_130(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> None:
    def command(*, args: object, prog_name: str, standalone_mode: bool) -> int:
        press_inside_a_finalizer()
        return 0

    monkeypatch.setattr(main.cli, "main", command)
    assert main.run([]) == 130
    assert capfd.readouterr().err == ""
