"""The command line gives what it names: values, switches, lists, words without a flag."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from unblank.cli import COMMANDS, main
from unblank.commands.options import options_of
from unblank.commands.words import HelpPage, UnknownOptionError, named_values, read_words
from unblank.settings.marks import Positional
from unblank.settings.ranges import OneOrMore


@dataclass(kw_only=True)
class Inner:
    """A section."""

    max_steps: int = 10
    """Steps."""
    rates: tuple[float, float] = (0.1, 0.2)
    compile: bool = False
    lowercase: bool | None = None


@dataclass(kw_only=True)
class Settings:
    """All."""

    model: Positional[str]
    """Folder."""
    text: Positional[tuple[str, ...]]
    """Texts."""
    files: tuple[str, ...] = ()
    kind: Literal["bpe", "unigram"] = "bpe"
    output: Path | None = None
    num_beams: int = 1
    """Beams;
    one is greedy."""
    json: bool = False
    train: Inner = field(default_factory=Inner)


OPTIONS = options_of(Settings)
MODEL = {"model": "m", "text": []}


def read(*words, **options):
    return read_words(["m", *words], OPTIONS, **options)


def test_an_option_knows_its_flag_its_default_and_its_docstring():
    options = {option.name: option for option in OPTIONS}
    beams = options["num_beams"]
    assert (beams.flag, beams.default, beams.text) == ("--num-beams", 1, "Beams; one is greedy.")
    assert options["train.compile"].flags == ("--train.compile", "--train.no-compile")
    assert options["train.max_steps"].section == "A section"
    assert options["output"].is_optional
    shown = {"model": ("MODEL", "?"), "text": ("TEXT", "*"), "kind": ("{bpe,unigram}", None),
             "files": ("TEXT", "*"), "train.rates": ("X", 2)}  # fmt: skip
    assert {name: (options[name].metavar, options[name].nargs) for name in shown} == shown
    assert options["text"].usage == "[TEXT ...]"


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ([], {}),
        (["--num-beams", "4"], {"num_beams": 4}),
        (["--num_beams=4"], {"num_beams": 4}),
        (["--num-beams", "4", "--num-beams", "5"], {"num_beams": 5}),
        (["--num-beams", "1"], {"num_beams": 1}),
        (["--json"], {"json": True}),
        (["--no-json"], {"json": False}),
        (["--train.no-compile", "--train.max_steps", "3"], {"train.compile": False,
                                                           "train.max_steps": 3}),
        (["--train.lowercase"], {"train.lowercase": True}),
        (["--train.rates", "1", "2e-1"], {"train.rates": [1.0, 0.2]}),
        (["--output", "None"], {"output": None}),
        (["--output", "-5"], {"output": "-5"}),
        (["--files", "a", "b", "--json"], {"files": ["a", "b"], "json": True}),
        (["--output=--json"], {"output": "--json"}),
        (["--train.rates", "-1", "-2e-1"], {"train.rates": [-1.0, -0.2]}),
    ],
)  # fmt: skip
def test_only_what_is_named_is_given(words, given):
    assert read(*words) == {**MODEL, **given}


def test_words_without_a_flag_fill_the_positions_wherever_they_stand():
    given = read("a text", "--num-beams", "2", "- an item", "-", "-1")
    assert given == {"model": "m", "text": ["a text", "- an item", "-", "-1"], "num_beams": 2}
    assert read("--json", "--", "--no-json", "-h")["text"] == ["--no-json", "-h"]
    with pytest.raises(ValueError, match=r"MODEL.*Folder"):
        read_words(["--json"], OPTIONS)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--num-beam", "4"], "unknown option --num-beam: did you mean --num-beams"),
        (["--xyzzy"], "unknown option --xyzzy: --help shows all"),
        (["--num-beams"], "--num-beams: expected one argument"),
        (["--files"], "--files: expected at least one argument"),
        (["--num-beams", "--json"], "--num-beams: expected one argument"),
        (["--num-beams", "four"], "--num-beams: invalid int value: 'four'"),
        (["--train.rates", "1"], "--train.rates: expected 2 arguments"),
        (["--train.rates", "1", "x"], "--train.rates: invalid float value: 'x'"),
        (["--json=yes"], "--json or --no-json: ignored explicit argument 'yes'"),
        (["--unknown=a text"], "unknown option --unknown"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(words, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        read(*words)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, UnknownOptionError) == message.startswith("unknown")


def test_a_word_too_many_is_named_with_what_may_stand_there():
    options = [option for option in OPTIONS if option.name != "text"]
    with pytest.raises(ValueError, match=r"'more'.*MODEL"):
        read_words(["m", "more"], options)


@pytest.mark.parametrize(
    ("words", "is_set", "new"),
    [
        (["--train.compile", "True"], True, "--train.compile;"),
        (["--train.compile=False"], False, "--train.no-compile;"),
        (["--train.lowercase", "false"], False, "--train.no-lowercase;"),
    ],
)
def test_switches_with_a_value_are_understood_with_a_note(words, is_set, new):
    with pytest.warns(UserWarning, match="is now written") as noted:
        given = read(*words, has_recipe=True)
    assert is_set in given.values()
    assert new in str(noted[0].message)
    # Where texts stand without a flag, the word behind a switch is one of them.
    assert read("--json", "True")["text"] == ["True"]


def test_flags_over_a_recipe_may_empty_a_list():
    assert read("--files", has_recipe=True) == {**MODEL, "files": []}


def test_a_list_that_may_not_be_empty_must_be_given(capsys):
    @dataclass(kw_only=True)
    class Serve:
        """Serve."""

        json: bool = False
        models: OneOrMore[Positional[tuple[str, ...]]]

    options = options_of(Serve)
    assert read_words(["a", "b"], options) == {"models": ["a", "b"]}
    with pytest.raises(ValueError, match="MODELS"):
        read_words(["--json"], options)
    with pytest.raises(SystemExit):
        read_words(["--help"], options, HelpPage("unblank serve"))
    shown = capsys.readouterr().out
    assert "unblank serve MODELS ... [options]" in shown
    assert shown.rindex("MODELS") < shown.index("--json")
    with pytest.raises(SystemExit):
        read_words(["--help"], options[1:], HelpPage("unblank merge"))
    assert "[options]" not in capsys.readouterr().out


def test_values_are_found_before_the_options_are_known():
    words = ["m", "--suite", "lambada", "--suite=glue", "--model_x", "y", "--suite"]
    assert named_values(words, "--suite") == ["lambada", "glue", ""]
    assert named_values(words, "--model-x") == ["y"]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_has_a_line_to_copy(name, capsys):
    with pytest.raises(SystemExit):
        main([name, "--help"])
    usage, *lines = capsys.readouterr().out.splitlines()
    assert usage.startswith("usage: ")
    assert [line for line in lines if line.startswith(f"unblank {name}")]
    told = [line for line in lines if f": unblank {name}" in line]  # wrapped, so not to be copied
    assert [line for line in told if not line.endswith("--help-all")] == []
