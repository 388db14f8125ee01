"""Records of COPA and of Winograd schemas as minimal pairs."""

import pytest

from unblank.evaluation.pair_readers import PAIR_READERS

COPA = {
    "premise": "The man opened the tap.",
    "choice1": "The room got dark.",
    "choice2": "Water flowed.",
    "question": "effect",
    "label": 1,
}
WINOGRAD = {
    "sentence": 'It said: "The cup is not in the case, as it is big".',
    "tokens": ["It", "said", ":", "``", "The", "cup", "is", "not", "in", "the", "case", ",", "as",
               "it", "is", "big", "''", "."],
    "pronoun": "it",
    "pronoun_span": [13, 14],
    "candidates": [
        {"text": "the case", "is_antecedent": False},
        {"text": "the cup", "is_antecedent": True},
    ],
}  # fmt: skip


def read(kind, record):
    return PAIR_READERS[kind](record, "good", "bad")


def test_what_happens_first_stands_first():
    tap, dark, water = COPA["premise"], COPA["choice1"], COPA["choice2"]
    assert read("copa", COPA) == (f"{tap} {water}", f"{tap} {dark}")
    cause = {**COPA, "question": "cause", "label": 0}
    assert read("copa", cause) == (f"{dark} {tap}", f"{water} {tap}")


def test_a_candidate_stands_in_the_place_of_its_pronoun():
    start, end = 'It said: "The cup is not in the case, as ', ' is big".'
    assert read("winograd", WINOGRAD) == (f"{start}the cup{end}", f"{start}the case{end}")


@pytest.mark.parametrize(
    ("kind", "record", "named"),
    [
        ("copa", {**COPA, "label": 2}, "2"),
        ("copa", {**COPA, "question": "why"}, "'why'"),
        ("copa", {"premise": "x", "choice": "y"}, r"'choice1'.*'choice'"),
        ("winograd", {**WINOGRAD, "pronoun": "she"}, "'she'"),
        ("winograd", {**WINOGRAD, "candidates": WINOGRAD["candidates"][:1]}, "0 right and 1 wrong"),
        ("sentences", {"good": "a"}, "'bad'"),
    ],
)
def test_a_record_of_another_kind_is_named(kind, record, named):
    with pytest.raises(ValueError, match=named):
        read(kind, record)
