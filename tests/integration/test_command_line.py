"""The command as a user meets it: quick help, clear errors, no tracebacks."""

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


@pytest.mark.parametrize("name", COMMANDS)
def test_help_teaches_without_loading_torch(name):
    code = (
        f"import sys; from unblank.cli import main\ntry: main([{name!r}, '--help'])\n"
        "except SystemExit as stop: assert not stop.code, stop.code\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert f"unblank {name}" in result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_help_answers_within_half_a_second(name):
    """Counted in time of the processor, which does not depend on who else works here."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    help_text = unblank(name, "--help").stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5
    assert f"unblank {name}" in help_text


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_words_for_what_is_not_given(name, capsys):
    with pytest.raises(SystemExit):
        main([name, "--help-all"])
    assert "None" not in capsys.readouterr().out


def test_the_commands_are_listed_by_what_one_wants_to_do():
    text = unblank("--help").stdout
    places = [text.index(command.goal) for command in COMMANDS.values()]
    assert places == sorted(places)
    assert text.count(COMMANDS["fill"].goal) == 1


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("fill",), "unblank fill: MODEL is missing (Folder of the model)"),
        (("fill", "m", "--num-beam", "4"), "unblank fill: unknown option --num-beam: did you mean"),
        (
            ("pretrain", "--train.max_steps", "x"),
            "unblank pretrain: --train.max-steps: invalid int value: 'x'",
        ),
        (("evaluate", "m", "--suite", "x"), "unblank evaluate: suite is 'x', allowed: "),
        (("fil",), "unblank: unknown command 'fil': did you mean 'fill'?"),
        (("merge", "none", "out"), "unblank merge: none holds no adapters"),
    ],
)
def test_errors_have_one_shape(words, line, tmp_path):
    result = unblank(*words, cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith(line)
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_a_misspelt_command_offers_the_nearest():
    result = unblank("pretrian")
    assert result.returncode == 2
    assert "did you mean 'pretrain'?" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fill", "no-such-folder", "a [MASK]"), "no-such-folder"),
        (("score", "no-such-folder", "a [MASK]", "--candidates", "x", "y"), "no-such-folder"),
        (("tokenize", "--train", "none.txt", "--output", "out"), "none.txt"),
        (("pretrain", "none.yaml"), "none.yaml"),
        (("pretrain", "--data.train", "none.txt", "--train.output_dir", "out"), "none.txt"),
        (("show", "x", "--tokenizer", "no-such-folder"), "no-such-folder"),
    ],
)
def test_wrong_paths_are_named_without_a_traceback(arguments, message, tmp_path):
    result = unblank(*arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
