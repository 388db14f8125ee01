"""Automata accept what Python's own means accept, on all short texts of a few characters."""

import itertools
import random

import numpy as np
import pytest
from rule_toys import meets, random_pattern

from unblank.rules.automaton import MOST_STATES, Automaton, build_automaton
from unblank.rules.code_points import classes_of, complement, union
from unblank.rules.expressions import Expressions, TooLargeError
from unblank.rules.meaning import meaning_of
from unblank.rules.patterns import read_pattern
from unblank.rules.rule import Rule
from unblank.rules.utf8 import DEAD, utf8_table

TEXTS = [
    "".join(letters)
    for length in range(5)
    for letters in itertools.product("ac t1\u00e9", repeat=length)
]


def automaton_of(rules) -> Automaton:
    expressions = Expressions()
    return build_automaton(expressions, meaning_of(expressions, rules, lambda text: text))


def accepts(automaton: Automaton, text: str) -> bool:
    state = 0
    for character in text:
        state = automaton.next[state, automaton.class_P[ord(character)]]
    return bool(automaton.accepts[state])


@pytest.mark.parametrize(
    "fields",
    [
        {"regex": r"a{2,3}|c(?:1|\s)*t?"},
        {"regex": r"^[^a\d]\w*?$"},
        {"regex": r"(?i)A[B-T]?"},
        {"regex": r"(?s:.)\D\S|(?a:\w)+"},
        {"regex": r"(a?){3}(?:c|t){0,2}"},
        {"regex": "(?x) a  c # so"},
        {"choices": ("act", "a", "c t")},
        {"contains": ("a",)},
        {"contains": ("a", "t|1")},
        {"contains": ("a c",)},
        {"excludes": ("a", "t1")},
        {"words": 2},
        {"words": (None, 1)},
        {"words": 0},
        {"characters": (2, 3)},
        {"characters": (None, 2), "excludes": ("c",)},
        {"case": "upper"},
        {"case": "title"},
        {"script": "digits"},
        {"script": "letters"},
        {"script": "Greek"},
    ],
    ids=str,
)
def test_a_rule_means_what_it_says(fields):
    rule = Rule(**fields)
    automaton = automaton_of([rule])
    for text in TEXTS:
        assert accepts(automaton, text) == meets(text.lstrip(" "), rule), repr(text)


def test_words_of_scripts_without_spaces_stand_anywhere():
    """The long vowel mark belongs to two scripts, so to none alone."""
    automaton = automaton_of([Rule(contains=("\u30b5\u30fc\u30d0\u30fc",))])
    assert accepts(automaton, "\u30b5\u30fc\u30d0\u30fc\u3092\u4f7f\u3046")


def test_white_space_alone_is_no_letters():
    automaton = automaton_of([Rule(script="letters")])
    assert [accepts(automaton, text) for text in ("\n", "\u3000", "\na")] == [False, False, True]


def test_punctuation_alone_is_no_word():
    letters = map("".join, itertools.product("a ,\u2014", repeat=6))
    texts = ["", ",", "a", *letters]
    for words in (0, 1, 2, (None, 1), (2, None)):
        rule = Rule(words=words)
        automaton = automaton_of([rule])
        for text in texts:
            assert accepts(automaton, text) == meets(text.lstrip(" "), rule), (rule, text)


def test_random_patterns_match_what_re_matches():
    rng = random.Random(1)
    for _ in range(60):
        rule = Rule(regex=random_pattern(rng))
        automaton = automaton_of([rule])
        for text in rng.sample(TEXTS, 60):
            assert accepts(automaton, text) == meets(text.lstrip(" "), rule), (rule, text)


def test_rules_together_mean_all_of_them():
    rules = [Rule(regex="[ac ]+"), Rule(words=2), Rule(excludes=("c",)), Rule(characters=(3, None))]
    automaton = automaton_of(rules)
    accepted = {text for text in TEXTS if accepts(automaton, text)}
    assert accepted == {
        text for text in TEXTS if all(meets(text.lstrip(" "), rule) for rule in rules)
    }


def test_words_without_spaces_around_them_are_found_where_a_script_has_none():
    automaton = automaton_of([Rule(contains=("\u732b",))])
    assert accepts(automaton, "\u6211\u7684\u732b\u662f")
    assert not accepts(automaton_of([Rule(contains=("cat",))]), "category")


@pytest.mark.parametrize(
    ("excluded", "allowed", "barred"),
    [
        (
            "\u0915",
            "\u0915\u093f\u0924\u093e\u092c",
            "\u0915 \u0924",
        ),  # a vowel sign
        ("\u0915\u0940", "\u0915\u0940\u092e\u0924", "\u0915\u0940 \u0924"),
        ("cafe", "cafe\u0301", "cafe."),
        ("Python", "Pythons", "\u7528Python\u5199"),  # Han letters are words of their own
    ],
)
def test_words_end_where_readers_see_their_ends(excluded, allowed, barred):
    automaton = automaton_of([Rule(excludes=(excluded,))])
    assert accepts(automaton, allowed)
    assert not accepts(automaton, barred)
    assert not accepts(automaton_of([Rule(contains=(excluded,))]), allowed)


def test_what_grows_beyond_all_bounds_is_given_up():
    expressions = Expressions()
    with pytest.raises(TooLargeError):
        build_automaton(expressions, read_pattern(expressions, "[ab]*a[ab]{40}"))
    long = automaton_of([Rule(characters=(None, 900))])
    assert len(long.accepts) < MOST_STATES


def test_utf8_leads_to_the_class_of_every_character():
    sets = [((0x61, 0x7A), (0xE9, 0x2FF)), ((0x4E00, 0x9FFF),), ((0x1F600, 0x1F64F),)]
    class_P, members = classes_of(sets)
    assert [len(one) for one in members] == [1, 1, 1]
    table = utf8_table(class_P)
    points = [0, 0x61, 0x7F, 0x80, 0xE9, 0x7FF, 0x800, 0x4E00, 0xD7FF, 0xE000, 0xFFFF]
    rng = random.Random(0)
    points += [0x10000, 0x1F64F, 0x1F650, 0x10FFFF, *rng.sample(range(0xE000, 0x110000), 500)]
    for point in points:
        node = 0
        for byte in chr(point).encode():
            assert 0 <= node < table.num_nodes
            node = table.step[node, byte]
        assert node - table.num_nodes == class_P[point]
    for bad in (b"\x80", b"\xc0", b"\xc1", b"\xf5", b"\xff", b"\xe0\x80", b"\xed\xa0", b"\xf0\x80",
                b"\xf4\x90"):  # fmt: skip
        node = 0
        for byte in bad:
            node = DEAD if node == DEAD else table.step[node, byte]
        assert node == DEAD


def test_classes_are_the_coarsest_that_sets_do_not_divide():
    one, other = ((97, 105),), ((100, 122),)
    class_P, (of_one, of_other) = classes_of([one, other])
    assert len(of_one & of_other) == 1
    assert len(np.unique(class_P)) == 4
    assert complement(complement(one)) == one
    assert union([other, one]) == ((97, 122),)
