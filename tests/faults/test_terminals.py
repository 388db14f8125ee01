"""Texts of strangers that would command a terminal, wherever a command prints them."""

import ast
import io
import json
import re
import shlex
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from source_trees import FILES, SOURCE, nodes_of
from tiny_models import tiny_unblank

from unblank import cli, terminal_text
from unblank.adapters.record import weights_identity
from unblank.calibration.maps import RisingLine
from unblank.calibration.record import (
    CalibratedOn,
    Calibration,
    FillCalibration,
    LabelCalibration,
)
from unblank.consoles import TextConsole
from unblank.integrity import seal

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b2J\r[/red]:cat:"
FORGED = "verified: every file is as it was written"
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def evil(value):
    """Return a value with every text in it made hostile."""
    if isinstance(value, dict):
        return {
            f"{key}{EVIL}\n{FORGED}" if key.islower() else key: evil(v) for key, v in value.items()
        }
    if isinstance(value, list):
        return [evil(one) for one in value]
    return f"{value}{EVIL}\n{FORGED}" if isinstance(value, str) else value


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model whose every record and token tries it."""
    path = tmp_path_factory.mktemp("evil") / "model"
    made = tiny_unblank("bpe")
    made.model.save_pretrained(path)
    made.tokenizer.save_pretrained(path)
    config = json.loads((path / "config.json").read_text())
    config["architectures"] = evil(config["architectures"])
    (path / "config.json").write_text(json.dumps(config))
    settings = {"task": "x", "method": "y", "data": {"train": ["a"]}, "model": {"init_from": "b"}}
    record = {name: evil("z") for name in ("made_by", "program", "finished")}
    record |= {"settings": {key: evil(value) for key, value in settings.items()}}
    record |= {"source": {"path": evil("p")}, "scores": {f"m{EVIL}": 0.5}}
    (path / "provenance.json").write_text(seal(record))
    source = CalibratedOn(
        file=evil("f"), num_fitted=3, num_measured=2, error_before=0.2, error_after=0.1
    )
    labels = {f"mails{EVIL}\n{FORGED}": LabelCalibration(1.5, {}, source)}
    fills = FillCalibration(RisingLine((-4.0, -0.5), (0.1, 0.9)), source)
    Calibration(weights_identity(path), fills, labels).write(path)
    return path


COMMANDS = {
    "info": "info {folder}",
    "verified info": "info {folder} --verify",
    "fill": "fill {folder} 'the [MASK] cat {evil}'",
    "score": "score {folder} 'the [MASK] {evil} sat' --candidates cat 'd{evil}'",
    "show": "show --model {folder} 'the {evil} [MASK]'",
    "an error": "fill {folder}{evil} 'the [MASK] cat'",
    "an unknown command": "{evil}",
    "an unknown task": "evaluate {folder} --suite 'x{evil}'",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_prints_what_a_terminal_would_obey(name, folder, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    words = [word.format(folder=folder, evil=EVIL) for word in shlex.split(COMMANDS[name])]
    with suppress(SystemExit):
        cli.main(words)
    printed, errors = capsys.readouterr()
    assert printed + errors
    assert not CONTROLS.search(printed + errors)
    assert "owned" in printed + errors or name == "show"  # which shows the tokens apart
    assert printed.splitlines().count(FORGED) == (name == "verified info")


@given(st.text(max_size=30))
def test_a_console_shows_any_text_and_nothing_else(text):
    file = io.StringIO()
    console = TextConsole(file=file, width=200, force_terminal=False)
    console.print(text)
    table = Table(text, title=text)
    table.add_row(text)
    console.print(table)
    assert not CONTROLS.search(file.getvalue())


def test_a_label_in_brackets_is_shown_as_it_is(capsys):
    TextConsole().print("[bold]a[/b] :cat:")
    assert capsys.readouterr().out == "[bold]a[/b] :cat:\n"


def test_results_go_to_files_as_they_are(capsys):
    terminal_text.print_result(EVIL)
    assert capsys.readouterr().out == f"{EVIL}\n"


def test_everything_is_printed_by_these_two():
    found = set()
    for path in FILES:
        name = str(path.relative_to(SOURCE))
        for node in nodes_of(path):
            if isinstance(node, ast.Call) and (called := ast.unparse(node.func)) in (
                "Console",
                "print",
            ):
                to_errors = any("stderr" in ast.unparse(one.value) for one in node.keywords)
                if called == "Console" or to_errors:
                    found.add((name, called))
    assert found == {("terminal_text.py", "print")}


def test_a_name_with_a_line_end_begins_no_message_of_its_own(tmp_path, capsys):
    """The name of a file in a folder: those of the command line are in one line."""
    (tmp_path / f"a\n{FORGED}.jsonl").write_text("{")
    with pytest.raises(SystemExit):
        cli.main(["index", str(tmp_path), "--output", str(tmp_path / "index")])
    said = capsys.readouterr().err.splitlines()
    assert sum(FORGED in line for line in said) == 1
    assert not any(line.startswith(FORGED) for line in said)
