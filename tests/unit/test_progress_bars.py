"""Progress in a notebook: a widget if there are some, else one line without control sequences."""

import builtins
import sys
import warnings
from types import ModuleType

import pytest

from unblank import progress_bars
from unblank.progress_bars import progress_bar, track


class ZMQInteractiveShell:
    """What a notebook's kernel is called."""


class Output:
    """A widget that keeps nothing."""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def clear_output(self, *, wait):
        return None


@pytest.fixture
def at_once(monkeypatch):
    """Bars that do not wait until something has lasted."""
    monkeypatch.setattr(progress_bars, "_DELAY", 0.0)


@pytest.fixture
def notebook(monkeypatch):
    """A kernel without widgets, in an environment that asks for colours; returns what is shown."""
    shown = []
    display = ModuleType("IPython.display")
    display.display = shown.append
    monkeypatch.setattr(builtins, "get_ipython", ZMQInteractiveShell, raising=False)
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.setenv("FORCE_COLOR", "1")
    return shown


def read_three():
    with warnings.catch_warnings(action="error"), progress_bar(show=True) as progress:
        assert list(track(["a", "b", "c"], progress, "reading")) == ["a", "b", "c"]


def test_a_notebook_without_widgets_gets_one_plain_line(notebook, at_once, capsys):
    read_three()
    printed = capsys.readouterr()
    assert "\x1b" not in printed.err
    assert [line.split()[0] for line in printed.err.splitlines()] == ["reading"]
    assert "100%" in printed.err
    assert not printed.out
    assert not notebook


def test_a_notebook_with_widgets_gets_one(notebook, at_once, capsys, monkeypatch):
    widgets = ModuleType("ipywidgets")
    widgets.Output = Output
    widgets.__spec__ = sys.__spec__
    monkeypatch.setitem(sys.modules, "ipywidgets", widgets)
    read_three()
    assert isinstance(notebook[0], Output)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("is_terminal", [False, True])
def test_what_takes_no_time_has_no_bar(is_terminal, capsys, monkeypatch):
    if is_terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    read_three()
    assert capsys.readouterr() == ("", "")


def test_what_is_printed_into_a_file_beside_a_bar_stays_there(at_once, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # the error stream counts as a terminal
    with progress_bar(show=True) as progress:
        progress.advance(progress.add_task("filling", total=2))
        print("an answer")
    assert capsys.readouterr().out == "an answer\n"
