"""Odd words for every option and place of every command, found by the list of commands.

A new command, suite or option is reached without a change here.
"""

import random
import re
from collections import Counter
from contextlib import suppress
from dataclasses import MISSING
from importlib import import_module
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest
from counts import hard_count

from unblank.cli import COMMANDS, main
from unblank.commands import parsing

NO_INT = ["", "x", "nan", "inf", "1.5", "9" * 5000, "\udcff", "1 2", "-"]
NO_REAL = ["", "x", "nan", "inf", "-inf", "1e999", "\udcff", "1,5"]
NO_CHOICE = ["", "nothing", "\udcff", "\u202e", "x" * 5000]
NO_NAME = ["", "\udcff", "~nobody-of-this-name/x", "x" * 5000, "/dev/null/x", "a\nb", "\x1b[2J"]
"""Names of nothing that is there."""
STAND_INS = {"FOLDER": ["none"], "NAME": ["sst2"]}
"""What stands for what the help leaves open."""


class Found(Exception):
    """Ends the parsing of a command where its options are known."""


def looked_into(name, words):
    """Return the options that a command has after some words, and what its help says of others."""
    seen = {}

    def take(given, options, page=None, **rest):
        seen.update(options=options, more=page.more)
        raise Found

    with pytest.MonkeyPatch.context() as patch, suppress(Found):
        patch.setattr(parsing, "read_words", take)
        import_module(f"unblank.commands.{name}").parse(words)
    return list(seen["options"]), list(seen["more"])


def forms_of(name):
    """Yield (words that choose a form of a command, its options), each option once."""
    options, more = looked_into(name, [])
    yield [], options
    known = {(option.name, option.hint) for option in options}
    for line in more:
        flag, value, *_ = line.split()
        choices = [get_args(one.item) for one in options if one.flag == flag and is_choice(one)]
        for choice in choices[0] if choices else STAND_INS[value]:
            others = looked_into(name, [flag, choice])[0]
            yield [flag, choice], [o for o in others if (o.name, o.hint) not in known]
            known |= {(option.name, option.hint) for option in others}


def is_choice(option):
    return get_origin(option.item) is Literal


def wrong_words(option):
    """Return words that are no value of an option; none if any text may be one."""
    if is_choice(option):
        return NO_CHOICE
    return {int: NO_INT, float: NO_REAL}.get(option.item, [])


def with_the_rest(name, form, but):
    """Return a form's words with what it needs besides one option, all of it possible."""
    rest = []
    for option in looked_into(name, form)[0]:
        if option.default is MISSING and option.name != but.name and option.flag not in form:
            value = get_args(option.item)[0] if is_choice(option) else "1"
            rest += [value] if option.is_positional else [option.flag, value]
    return [*form, *rest]


@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_no_value_is_named_before_anything_is_done(name, tally):
    """Of every number and choice; all of the words with UNBLANK_HARD, else one of them each."""
    command = import_module(f"unblank.commands.{name}")
    draw, count = random.Random(0), 0
    for form, options in forms_of(name):
        for option in options:
            wrong = wrong_words(option)
            rest = with_the_rest(name, form, option) if wrong else []
            for word in draw.sample(wrong, min(hard_count(1, 99), len(wrong))):
                flag = [] if option.is_positional else [option.flag]
                words = [*flag, word, *rest] if option.is_positional else [*rest, *flag, word]
                with pytest.raises((ValueError, OSError)) as refused:
                    command.parse(words)
                last = option.name.rpartition(".")[2]
                assert re.search(last.replace("_", "[_-]"), str(refused.value), re.I), words
                count += 1
    tally("odd words for options", tried=count, named=count)


@pytest.mark.parametrize("name", COMMANDS)
def test_an_empty_path_is_named_by_its_option(name, tally):
    command = import_module(f"unblank.commands.{name}")
    count = 0
    for form, options in forms_of(name):
        for option in options:
            if option.item is not Path or option.is_positional:
                continue
            with pytest.raises(ValueError, match=re.escape(option.name)):
                command.parse([*with_the_rest(name, form, option), option.flag, ""])
            count += 1
    tally("empty paths", tried=count, named=count)


@pytest.mark.parametrize("name", COMMANDS)
def test_names_of_nothing_are_named_in_one_message(name, tmp_path, monkeypatch, capsys, tally):
    """But for a text, which may be anything: `show` takes it as it is."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    draw, counts = random.Random(1), Counter()
    for form, options in forms_of(name):
        places = [option for option in options if option.item in (str, Path)]
        has_model = any(option.is_positional and option.default is MISSING for option in options)
        for option in places if has_model else [one for one in places if one.is_positional]:
            rest = with_the_rest(name, form, option)
            for word in draw.sample(NO_NAME, hard_count(1, len(NO_NAME))):
                words = [word, *rest] if option.is_positional else [*rest, option.flag, word]
                status = status_of([name, *words])
                printed = capsys.readouterr()
                if name == "show" and status == 0:
                    counts["taken"] += 1
                    continue
                said = [one for one in printed.err.splitlines() if not one.startswith("note: ")]
                assert status == 2, words
                assert len(said) == 1, (words, said)
                assert said[0].startswith(f"unblank {name}: "), said
                assert "\x1b" not in said[0], words
                counts["named"] += 1
    tally("names of nothing", tried=counts.total(), **counts)


@pytest.mark.parametrize("words", [["pretrain", "a\nb"], ["fill", "a\r\nb", "c [MASK]"]])
def test_a_name_of_two_lines_is_named_in_one(words, capsys):
    assert status_of(words) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def status_of(words):
    """Return the status with which a command ends."""
    try:
        main(words)
    except SystemExit as end:
        return end.code
    return 0
