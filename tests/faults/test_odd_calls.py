"""Odd values for the arguments of every public call, found by their list: each named, none taken.

Nothing is trained and no file is written: where a call would begin its work, the test ends it.
"""

import inspect
import random
import re
from pathlib import Path

import pytest
from counts import hard_count
from tiny_models import tiny_unblank

import unblank
from unblank.api import Unblank

LONE = "\ud800"
NO_PATH = [3, -1.5, float("nan"), None, True, b"a", [], [3], {}, {"a": 1}, object(), ""]
NO_PATH += ["a\0b", LONE]
NO_TEXT = [3, float("nan"), b"a", {}, object(), LONE]
NO_WORDS = [3, [3], b"a", [b"a"], [""], [LONE]]
NO_LENGTH = [-1, "x", 1.5, [], (3, 1), float("nan")]
NO_SECTION = [3, "a", float("nan"), [3], b"a", object()]
IS_DATA = {"input", "data"}
"""Where records, or a section, may stand in place of a path."""
WRONG: dict[str, list[object]] = {
    **dict.fromkeys(["folder", "model", "input", "data", "output", "source"], NO_PATH),
    "recipe": [one for one in NO_PATH if one is not None],
    "tokenizer": [one for one in NO_PATH if one is not None],
    "device": [3.5, None, b"a", [], {}, "", "gpu", LONE],
    "dtype": [3, [], {}, b"fp32", "", "int8", float("nan"), LONE],
    "calibration": [0, 1, None, "yes", [], float("nan")],
    "suite": [3, None, [], {}, b"a", "", "perplexitee", LONE],
    "text": [3, float("nan"), b"a", [3], object(), "", LONE],
    "family": [3, [], "", "bert", LONE],
    "num_attention_heads": [0, -1, 2.5, "3", True, [], float("nan")],
    "vocab_size": [0, -1, 2.5, "3", True, [], float("inf")],
    "language_tags": [3, b"a", [3], [None], [LONE]],
    "ffn_order": [3, [], "", "other"],
    "part": [3, [], "", "other"],
    "shard_size": [3, None, [], "", "5", "-1GB", "nanGB", "infGB", LONE],
    "blank": [-1, 1.5, "0", True, [], float("nan")],
    "regex": [3, b"a", [], LONE],
    **dict.fromkeys(["choices", "contains", "excludes"], NO_WORDS),
    **dict.fromkeys(["tokens", "words", "characters"], NO_LENGTH),
    "case": [3, [], "", "Upper"],
    "script": [3, b"a", [], LONE],
}
"""Values that a parameter of this name never takes."""
HANDLES = {"ModelScores", "TrainedRun", "Unblank"}
"""Results, which calls give and nobody makes."""
CALLS = [
    name for name in unblank.__all__ if callable(getattr(unblank, name)) and name not in HANDLES
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("model")
    model = tiny_unblank("bpe")
    model.model.save_pretrained(place)
    model.tokenizer.save_pretrained(place)
    return place


@pytest.fixture
def nothing_begins(monkeypatch, tmp_path):
    """End the test where a command would begin to work."""

    def begin(*_, **__):
        pytest.fail("taken")

    for place in (
        "unblank.pretraining.run.run_pretrain",
        "unblank.pretraining.prepare.run_prepare",
        "unblank.finetuning.run.run_finetune",
        "unblank.evaluation.run.evaluate",
        "unblank.calibrating.run.calibrate",
        "unblank.commands.fill_printing.fill_to_file",
        "unblank.commands.score.score_to_file",
        "unblank.commands.predict.predict_to_file",
        "unblank.conversion.convert.plan_conversion",
    ):
        monkeypatch.setattr(place, begin)
    monkeypatch.chdir(tmp_path)


def parameters_of(name):
    return inspect.signature(getattr(unblank, name)).parameters


def good_arguments(name, folder):
    """Return what a call needs besides the argument that is odd."""
    (Path("a.jsonl")).write_text('{"text": "the cat [MASK]"}\n')
    known = {"folder": folder, "model": folder, "source": folder, "output": "out.jsonl"}
    known |= {"input": "a.jsonl", "data": "a.jsonl", "text": "the cat"}
    needed = [one for one, given in parameters_of(name).items() if given.default is given.empty]
    given = {one: known[one] for one in needed if one in known}
    return given | {"script": "Latin"} if name == "Rule" else given


def taken(name, arguments):
    made = getattr(unblank, name)(**arguments)
    return list(made) if name.endswith("_stream") else made


@pytest.mark.parametrize("name", CALLS)
def test_odd_arguments_are_named(name, folder, nothing_begins, tally):
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    tried = 0
    for parameter, given in parameters_of(name).items():
        if given.kind not in kinds:
            continue
        for value in WRONG[parameter]:
            if value is None and given.default is None:
                continue
            arguments = {**good_arguments(name, folder), parameter: value}
            with pytest.raises((TypeError, ValueError, OSError)) as refused:
                taken(name, arguments)
            assert not isinstance(refused.value, UnicodeError), (parameter, value)
            said = str(refused.value)
            # As what the message is about, not as a word of its advice.
            is_named = re.search(
                rf"^{parameter}\b|\b{parameter}( is|:)|of {parameter}\b|\({parameter}\)", said
            )
            shows_value = value != "" and ascii(value)[1:-1] in ascii(said)
            assert is_named or shows_value, (parameter, value, said)
            tried += 1
    tally("odd arguments of calls", tried=tried, named=tried)


SECTIONS = {
    "pretrain": ["model", "tokenizer", "objective", "data", "optim", "train"],
    "prepare": ["tokenizer", "data", "train"],
    "finetune": ["model", "data", "lora", "seq2seq", "optim", "train"],
}


@pytest.mark.parametrize("name", SECTIONS)
def test_odd_sections_and_keys_are_named(name, nothing_begins, tally):
    odd: list[tuple[str, object]] = [
        (section, value) for section in SECTIONS[name] for value in NO_SECTION
    ]
    odd += [(section, {key: 3}) for section in SECTIONS[name] for key in (3, None, "", "nothing")]
    odd += [(key, 3) for key in ("", ".", "a..b", "train.", ".train", "train.max_steps.x", LONE)]
    for steps in (0, -1, 2.5, float("nan"), float("inf"), "3", True, None, [3]):
        odd.append(("train.max_steps", steps) if steps is not None else ("train.seed", None))
    odd += [("data.train", value) for value in (3, None, True, float("nan"), [""], "", [3], LONE)]
    odd += [("data.train", [{"text": f"a {LONE}"}]), ("data.train", [{"text": object()}])]
    odd += [("train.output_dir", value) for value in (3, "", LONE, "a\0b", None, [])]
    draw = random.Random(0)
    some = draw.sample(odd, hard_count(len(odd) // 2, len(odd)))
    for key, value in some:
        task = {"task": "seq2seq"} if name == "finetune" else {}
        with pytest.raises((TypeError, ValueError, OSError)) as refused:
            getattr(unblank, name)(**task, **{key: value})
        assert not isinstance(refused.value, UnicodeError), (key, value)
    tally("odd sections of calls", tried=len(some), named=len(some))


FILE_CALLS = ["fill_file", "score_file", "predict_file", "calibrate"]


@pytest.mark.parametrize("name", FILE_CALLS)
@pytest.mark.parametrize("value", [0, -1, 2.5, "3", True, float("nan"), [3], None])
def test_odd_options_of_files_are_named(name, value, folder, nothing_begins):
    given = good_arguments(name, folder)
    given |= {"candidates": ["a"]} if name == "score_file" else {}
    with pytest.raises((TypeError, ValueError), match="batch_size"):
        getattr(unblank, name)(**given, batch_size=value)
    with pytest.raises((TypeError, ValueError), match="nothing"):
        getattr(unblank, name)(**given, nothing=value)


@pytest.mark.parametrize("value", [[], ()])
def test_no_data_is_not_the_data_of_the_suite(folder, value, nothing_begins):
    with pytest.raises(ValueError, match="file"):
        unblank.evaluate(folder, file=value)


@pytest.mark.parametrize("name", ["source_tag", "target_tag"])
@pytest.mark.parametrize("value", NO_TEXT)
def test_a_tag_is_a_text(name, value):
    model: Unblank = tiny_unblank("bpe")
    with pytest.raises((TypeError, ValueError)) as refused:
        model.generate("a cat", **{name: value})
    assert name in str(refused.value) or "tag" in str(refused.value)


@pytest.mark.parametrize("words", [("--data.train", ""), ("--train.output-dir", "")])
def test_an_empty_path_is_not_the_current_folder(words, nothing_begins, capsys):
    from unblank.cli import main

    Path("a.txt").write_text("the cat")
    given = ["--data.train", "a.txt"] if words[0] != "--data.train" else []
    with pytest.raises(SystemExit) as ended:
        main(["pretrain", "--model.preset", "tiny", *given, *words])
    assert ended.value.code == 2
    assert "empty" in capsys.readouterr().err
