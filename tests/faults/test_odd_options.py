"""Odd values for every option of every command, by the lists of the commands' own parsers.

A number that no run can have is refused by the option's name. A path that is none is refused in a
line that names it, in seconds: nothing hangs, and no words of Python's come out.
"""

import os
import random
import re
import signal
from contextlib import contextmanager
from importlib import import_module

import pytest
from counts import hard_count
from tiny_models import deltalm_folder, tiny_unblank

from unblank.cli import COMMANDS, main
from unblank.commands import parsing
from unblank.evaluation.suite_options import SUITE_OPTIONS

__all__ = ["deltalm_folder"]

FORMS = {
    "align": ["GLM --parallel records.jsonl:{lang} --output out"],
    "bench": ["sampler"],
    "calibrate": ["GLM --data records.jsonl"],
    "compare": ["empty.yaml --plan"],
    "convert": ["GLM out", "--verify GLM", "--complete GLM --tokenizer GLM"],
    "demo": ["--text text.txt --output out"],
    "evaluate": [f"GLM --suite {suite}" for suite in SUITE_OPTIONS],
    "fill": ["GLM --input records.jsonl --output out.jsonl"],
    "finetune": ["empty.yaml --task seq2seq --model.init-from DELTALM --data.train records.jsonl"],
    "generate": ["DELTALM --input records.jsonl --output out.jsonl"],
    "index": ["text.txt --output out"],
    "info": ["GLM"],
    "merge": ["GLM out"],
    "predict": ["GLM records.jsonl out.jsonl --task sst2"],
    "prepare": ["empty.yaml --data.train text.txt --tokenizer.path GLM"],
    "pretrain": ["empty.yaml --data.train text.txt --tokenizer.path GLM"],
    "recipes": [""],
    "score": ["GLM --input records.jsonl --output out.jsonl --candidates a"],
    "serve": ["GLM"],
    "show": ["text", "text --encoder-decoder", "--task rte"],
    "tokenize": ["--train text.txt --output out"],
    "trim": ["GLM out --corpus text.txt --keep 310"],
}
"""Command -> words that go with the one that is odd, for each of its variants."""
NO_NUMBERS = ["nan", "inf", "-inf", "1e400", "", "x", "0x10"]
NO_COUNTS = [*NO_NUMBERS, "1.5", "1e3", "1" + "0" * 30, str(2**63), "-" + "1" * 30]
NO_PATHS = ["", "n" * 300, "gone/below/it", "text.txt/below", "pipe", "circle", "/dev/null", "a\nb"]
NO_INPUTS = [".", "folder", "~nobody/x"]
SECONDS = 30
"""Within which a path is refused, on a busy machine."""
BUSY = {"bench", "compare", "demo", "serve", "recipes"}
"""Commands that go on for long with what is given besides, or take no path."""


def test_every_command_is_tried():
    assert set(FORMS) == set(COMMANDS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working folder with small inputs."""
    place = tmp_path_factory.mktemp("odd")
    model = tiny_unblank("bpe")
    model.model.save_pretrained(place / "glm")
    model.tokenizer.save_pretrained(place / "glm")
    (place / "text.txt").write_text("the cat sat on a mat\n")
    (place / "records.jsonl").write_text('{"text": "the [MASK]", "source": "a", "eng": "a"}\n' * 3)
    (place / "empty.yaml").write_text("{}\n")
    (place / "folder").mkdir()
    os.mkfifo(place / "pipe")
    (place / "circle").symlink_to("circle")
    return place


def given_words(name, form, folder, deltalm=""):
    known = {"GLM": str(folder / "glm"), "DELTALM": deltalm or str(folder / "glm")}
    return [name, *(known.get(word, word) for word in form.split())]


def options_of_command(words):
    """Return the options that a command's parser has for these words."""
    found, read = [], parsing.read_words
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            parsing,
            "read_words",
            lambda words, options, *rest, **more: (
                found.extend(options) or read(words, options, *rest, **more)
            ),
        )
        import_module(f"unblank.commands.{words[0]}").parse(words[1:])
    return found


def without(words, flag):
    place = words.index(flag) if flag in words else len(words)
    return words[:place] + words[place + 2 :]


@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_no_number_for_an_option_is_named(name, folder, monkeypatch, tally):
    monkeypatch.chdir(folder)
    parse, tried, seen = import_module(f"unblank.commands.{name}").parse, 0, set()
    for form in FORMS[name]:
        words = given_words(name, form, folder)
        for option in options_of_command(words):
            key = (option.name, option.hint, option.marks)
            if option.item not in (int, float) or key in seen:
                continue
            seen.add(key)
            for value in NO_COUNTS if option.item is int else NO_NUMBERS:
                count = option.nargs if isinstance(option.nargs, int) else 1
                odd = [option.flag, *[value] * count] if count > 1 else [f"{option.flag}={value}"]
                last = re.sub("[-_]", "[-_]", option.name.rpartition(".")[2])
                with pytest.raises(ValueError, match=last):
                    parse([*without(words, option.flag)[1:], *odd])
                tried += 1
    tally("odd numbers of options", tried=tried, named=tried)


@contextmanager
def within(seconds):
    def too_long(*_):
        raise TimeoutError(f"no answer in {seconds} seconds")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def status_of(words):
    """Return with what a command ends; 0 too of a name that can be had, as of a new folder."""
    with within(SECONDS):
        try:
            main(words)
        except SystemExit as ended:
            return ended.code or 0
    return 0


def with_odd_path(words, option, places, value):
    if not option.is_positional:
        return [*without(words, option.flag), f"{option.flag}={value}"]
    place = 1 + places.index(option.name)
    return [*words[:place], value, *words[place + 1 :]]


def odd_paths(name, folder, deltalm):
    """Yield the words with each path that the command reads replaced by one that is none."""
    for form in FORMS[name]:
        words = given_words(name, form, folder, deltalm)
        options = options_of_command(words)
        places = [option.name for option in options if option.is_positional]
        for option in options:
            is_given = option.flag in words or option.name in places[: len(words) - 1]
            if "path" not in option.metavar.lower() and not is_given:
                continue
            is_path = any("Path" in ascii(one) or "Data" in ascii(one) for one in option.marks)
            if not is_path and option.item is str:
                continue
            for value in NO_PATHS if "output" in option.name else [*NO_PATHS, *NO_INPUTS]:
                yield with_odd_path(words, option, places, value)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in BUSY])
def test_what_is_no_path_for_an_option_is_named(
    name, folder, deltalm_folder, tmp_path, monkeypatch, capsys, tally
):
    monkeypatch.chdir(folder)
    every = list(odd_paths(name, folder, deltalm_folder))
    some = random.Random(name).sample(every, min(len(every), hard_count(3, 1000)))
    refused = 0
    for words in some:
        before = set(folder.iterdir())
        status = status_of(words)
        said = capsys.readouterr().err
        assert status in (0, 2), (words, said)
        assert "Errno" not in said
        assert "Traceback" not in said
        if status:
            refused += 1
            assert f"unblank {name}: " in said, (words, said)
            assert set(folder.iterdir()) <= before | {folder / "runs"}, words  # a cache of texts
    tally("odd paths of options", tried=len(some), named=refused, taken=len(some) - refused)
