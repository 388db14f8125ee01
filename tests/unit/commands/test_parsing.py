"""From words to settings: variants, marks, recipes, what was given, and the text of `--help`."""

import re
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Literal, get_args

import pytest
import yaml

from unblank.cli import COMMANDS
from unblank.commands import evaluate, finetune, pretrain, show
from unblank.commands.fill import FillSettings
from unblank.commands.generate_settings import GenerateSettings
from unblank.commands.options import options_of
from unblank.commands.parsing import Variants, parse_settings
from unblank.commands.score import ScoreSettings
from unblank.evaluation.suite_options import SUITE_OPTIONS, suite_options
from unblank.finetuning.settings import FinetuneSettings
from unblank.pretraining.settings import PretrainSettings
from unblank.settings.marks import Excludes, Needs, Positional
from unblank.settings.recipes import from_mapping, to_mapping


@dataclass(kw_only=True)
class Copy:
    """Copy a file.

    unblank copy SOURCE --output FILE
    """

    source: Positional[str]
    """What to copy."""
    output: str | None = None
    """Where to. Not given: printed."""
    overwrite: Annotated[bool, Needs("output")] = False
    """Replace what is there."""
    show: Annotated[bool, Excludes("output", "quiet")] = True
    """Print it."""
    quiet: bool = False
    bytes: Annotated[bool, Excludes("show")] = False
    kind: Literal["text", "bytes"] = "text"


@dataclass(kw_only=True)
class Move:
    """Move a file."""

    target: str = ""


def parse(*words, **options):
    return parse_settings("copy", Copy, ["file", *words], **options)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--overwrite"], "--overwrite has no effect without --output"),
        (["--show", "--output", "x"], "--show and --output exclude each other"),
        (["--bytes", "--no-show"], "--bytes and --show exclude each other"),
        (["--kind", "byte"], "kind is 'byte': choose one of text, bytes; did you mean 'bytes'?"),
    ],
)
def test_what_is_given_in_vain_is_refused_also_with_the_value_of_the_default(words, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        parse(*words)
    assert message in str(caught.value)


def test_what_goes_together_is_read():
    assert parse("--overwrite", "--output", "x") == Copy(source="file", output="x", overwrite=True)
    assert parse("--no-show", "--output", "x").show is False


def test_an_option_of_another_variant_is_named_with_its_home():
    variants = Variants("copying", {"copying": Copy, "moving": Move})
    with pytest.raises(ValueError, match="--target"):
        parse("--target", "x", variants=variants)


def test_help_names_positions_groups_and_defaults(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as stopped:
        parse("--help")
    assert not stopped.value.code
    assert capsys.readouterr().out.splitlines() == [
        "usage: unblank copy SOURCE [options]",
        "",
        "Copy a file.",
        "",
        "unblank copy SOURCE --output FILE",
        "",
        "  SOURCE                  What to copy.",
        "",
        "Options:",
        "  --output TEXT           Where to. Not given: printed. (optional)",
        "  --overwrite, --no-overwrite",
        "                          Replace what is there. (default: off)",
        "  --show, --no-show       Print it. (default: on)",
        "  --quiet, --no-quiet     (default: off)",
        "  --bytes, --no-bytes     (default: off)",
        "  --kind {text,bytes}     (default: text)",
    ]
    with pytest.raises(SystemExit):
        parse("--help", usual=["kind"])
    shown = capsys.readouterr().out
    assert "--kind" in shown
    assert "--quiet" not in shown
    assert "5 more options: unblank copy --help-all" in shown
    with pytest.raises(SystemExit):
        parse("--help-all", usual=["kind"])
    assert "--quiet, --no-quiet" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("module", "kind"), [(pretrain, PretrainSettings), (finetune, FinetuneSettings)]
)
def test_the_short_help_of_training_shows_some_25_options_that_exist(module, kind):
    assert set(module._USUAL) <= {option.name for option in options_of(kind)}
    assert 20 <= len(module._USUAL) == len(set(module._USUAL)) <= 28


@pytest.mark.parametrize("suite", SUITE_OPTIONS)
def test_a_suite_takes_its_own_options_and_no_others(suite):
    own = {option.flag: option for option in options_of(suite_options(suite))}
    every = {
        option.flag: option
        for kind in set(SUITE_OPTIONS.values())
        for option in options_of(kind)
        if not option.is_positional and option.name != "suite"
    }
    for flag, other in every.items():
        option = own.get(flag, other)
        default = option.default if isinstance(option.default, tuple) else (option.default,)
        # For a list that is empty by default.
        usual = ("en-de",) if flag == "--directions" else get_args(option.item)[:1] or (1,)
        values = [] if option.is_switch else [str(value) for value in default or usual]
        needed = [f"--{mark.other}" for mark in option.marks if isinstance(mark, Needs)]
        words = ["m", "--suite", suite, flag, *values, *(x for one in needed for x in (one, "x"))]
        if flag in own:
            evaluate.parse(words)
        else:
            with pytest.raises(ValueError, match=f"{flag} .*--suite {suite}"):
                evaluate.parse(words)


@pytest.mark.parametrize("suite", ["perplexity", "lambada"])
def test_the_help_of_every_suite_offers_all_suites(suite, capsys):
    with pytest.raises(SystemExit):
        evaluate.parse(["--suite", suite, "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert f"One of: {', '.join(SUITE_OPTIONS)}. (default: perplexity)" in text


def test_a_misspelt_suite_is_named_with_the_nearest():
    with pytest.raises(ValueError, match=r"'lambda'.*'lambada'"):
        evaluate.parse(["m", "--suite", "lambda"])


def test_what_is_for_a_glm_cannot_be_shown_of_an_encoder_decoder():
    with pytest.raises(ValueError, match=r"--mask.*encoder-decoder"):
        show.parse(["a text", "--encoder-decoder", "--mask", "x.png"])
    with pytest.raises(ValueError, match=r"--objective\.token"):
        show.parse(["a text", "--seq2seq.mask-ratio", "0.15", "--objective.token", "1.0"])


def save(tmp_path, text):
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_flags_stand_over_the_recipe_and_what_changes_something_is_known_as_given(tmp_path):
    path = save(tmp_path, "train: {max_steps: 5, seed: 0}\n")
    words = ["--train.max-steps", "9", "--data.train", "a.txt", "b.jsonl"]
    parsed = pretrain.parse([path, *words, "--optim.betas", "0.9", "0.95"])
    settings = parsed.settings
    assert (settings.train.max_steps, settings.train.seed) == (9, 0)
    assert settings.data.train == ("a.txt", "b.jsonl")
    assert settings.optim.betas == (0.9, 0.95)
    assert parsed.given == {"train.max_steps", "data.train", "optim.betas"}
    assert "train.seed" in pretrain.parse([path, "--train.seed", "0"]).given


def test_flags_alone_make_a_run():
    parsed = pretrain.parse(["--model.preset", "tiny", "--train.compile"])
    assert parsed.settings.train.compile
    assert parsed.given == {"model.preset", "train.compile"}


@pytest.mark.parametrize(
    ("module", "kind"), [(pretrain, PretrainSettings), (finetune, FinetuneSettings)]
)
def test_print_recipe_prints_a_recipe_that_reads_back(module, kind, capsys):
    with pytest.raises(SystemExit) as stopped:
        module.parse(["--train.seed", "4", "--print-recipe"])
    assert not stopped.value.code
    printed = from_mapping(kind, yaml.safe_load(capsys.readouterr().out))
    expected = to_mapping(kind())
    expected["train"]["seed"] = 4
    assert to_mapping(printed) == expected


def test_a_mistake_in_the_recipe_is_said_with_its_path_and_one_in_a_flag_without(tmp_path):
    path = save(tmp_path, "train: {max_steps: many}")
    with pytest.raises(ValueError, match=r"recipe\.yaml: train\.max_steps.*\bint\b.*'many'"):
        pretrain.parse([path])
    with pytest.raises(ValueError, match=r"^train: max_steps"):
        pretrain.parse([save(tmp_path, "train: {seed: 1}"), "--train.max-steps", "0"])
    with pytest.raises(FileNotFoundError, match=r"none\.yaml"):
        pretrain.parse([str(tmp_path / "none.yaml")])


def test_commands_that_open_a_model_use_the_same_words_for_it():
    kinds = (FillSettings, ScoreSettings, GenerateSettings, *set(SUITE_OPTIONS.values()))
    shared = [
        {(option.name, option.hint, option.text) for option in options_of(kind)
         if option.name in ("model", "device", "dtype")}
        for kind in kinds
    ]  # fmt: skip
    assert all(one == shared[0] for one in shared)
    assert len(shared[0]) == 3


def test_the_old_name_of_print_recipe_is_understood_with_a_note(capsys):
    for name in ("--print-config", "--print_config"):
        with pytest.warns(UserWarning, match="--print-recipe"), pytest.raises(SystemExit):
            pretrain.parse(["--train.seed", "4", name])
        assert "seed: 4" in capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_first_what_stands_without_a_flag(name, capsys):
    module = import_module(f"unblank.commands.{name}")
    with pytest.raises(SystemExit):
        module.parse(["--help"])
    shown = capsys.readouterr().out.splitlines()
    usage = shown[0].replace("[", "").replace("]", "").split()
    places = [word for word in usage[3:] if word.isupper()]
    first = [line.split()[0] for line in shown if re.match(r"  [A-Z]+( |$)|Options:", line)]
    assert first[: len(places)] == places
