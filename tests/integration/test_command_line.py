"""The command as a user meets it: quick help, clear errors, no tracebacks."""

import re
import resource
import subprocess
import sys

import pytest

from unblank.cli import COMMANDS, main


def unblank(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "unblank", *arguments],
        capture_output=True, text=True, check=False, **options,
    )  # fmt: skip


def test_without_arguments_the_commands_are_listed():
    result = unblank()
    assert result.returncode == 0
    assert all(f"  {name} " in result.stdout for name in COMMANDS)


HELP = """
import sys
from unblank.cli import main
for name in sys.argv[1:]:
    try:
        main([name, "--help"])
    except SystemExit as stop:
        assert not stop.code, name
    assert not {"torch", "transformers"} & sys.modules.keys(), name
"""


def test_help_of_no_command_loads_torch():
    words = [sys.executable, "-c", HELP, *COMMANDS]
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert all(f"unblank {name}" in result.stdout for name in COMMANDS)


SLOWEST = ("pretrain", "finetune", "evaluate")


@pytest.mark.parametrize(
    "name",
    [name if name in SLOWEST else pytest.param(name, marks=pytest.mark.slow) for name in COMMANDS],
)
def test_help_answers_within_half_a_second(name):
    """Counted in time of the processor, which does not depend on who else works here."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run(
        [sys.executable, "-c", HELP, name], capture_output=True, text=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert result.returncode == 0, result.stderr
    assert f"unblank {name}" in result.stdout
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_words_for_what_is_not_given(name, capsys):
    with pytest.raises(SystemExit):
        main([name, "--help-all"])
    assert "None" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        *("pretrain", "finetune", "prepare", "fill", "generate"),
        *("show", "show --encoder-decoder"),
    ],
)
def test_short_help_shows_the_options_that_matter(words, capsys):
    def options(flag):
        with pytest.raises(SystemExit):
            main([*words.split(), flag])
        shown = capsys.readouterr().out.partition("\n\n  ")[2]
        return [line.split()[0] for line in shown.splitlines() if line.startswith("  --")]

    usual, every = options("--help"), options("--help-all")
    assert 5 <= len(usual) <= 25
    assert set(usual) < set(every)


def test_the_commands_are_listed_by_what_one_wants_to_do():
    text = unblank("--help").stdout
    places = [text.index(command.goal) for command in COMMANDS.values()]
    assert places == sorted(places)
    assert text.count(COMMANDS["fill"].goal) == 1


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("fill",), r"unblank fill: MODEL is missing \(Model folder\)"),
        (("fill", "m", "--num-beam", "4"), "unblank fill: unknown option --num-beam: did you mean"),
        (
            ("pretrain", "--train.max_steps", "x"),
            "unblank pretrain: --train.max-steps: invalid int value: 'x'",
        ),
        (("evaluate", "m", "--suite", "x"), "unblank evaluate: suite is 'x': choose one of "),
        (("fil",), "unblank: unknown command 'fil': did you mean 'fill'?"),
        (("merge", "none", "out"), "unblank merge: no folder none"),
    ],
)
def test_errors_have_one_shape(words, named, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    status, printed = failing(words, capsys)
    assert status == 2
    assert re.match(named, printed.err)
    assert printed.err.count("\n") == 1
    assert printed.out == ""


def failing(words, capsys):
    """Return the status with which a command ends in this process, and what it prints."""
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    return stopped.value.code, capsys.readouterr()


@pytest.mark.slow  # test_wrong_paths_are_named_without_a_traceback does it in this process
def test_an_error_of_a_command_that_loads_torch_is_one_line_too(tmp_path):
    result = unblank("fill", "no-such-folder", "a [MASK]", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith("unblank fill: ")
    assert "no-such-folder" in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_a_misspelt_command_offers_the_nearest(capsys):
    status, printed = failing(["pretrian"], capsys)
    assert status == 2
    assert re.search(r"'pretrian'.*'pretrain'", printed.err)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("score", "no-such-folder", "a [MASK]", "--candidates", "x", "y"), "no-such-folder"),
        (("tokenize", "--train", "none.txt", "--output", "out"), "none.txt"),
        (("pretrain", "none.yaml"), "none.yaml"),
        (("pretrain", "--data.train", "none.txt", "--train.output_dir", "out"), "none.txt"),
        (("show", "x", "--tokenizer", "no-such-folder"), "no-such-folder"),
    ],
)
def test_wrong_paths_are_named_without_a_traceback(
    arguments, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    status, printed = failing(arguments, capsys)
    assert status == 2
    assert message in printed.err
    assert "Traceback" not in printed.err
