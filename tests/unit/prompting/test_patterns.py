"""Filling and shortening patterns: what gives way, and what never does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unblank.prompting.patterns import fill_pattern, fit_pattern, parse_pattern
from unblank.tokenization.special import special_ids

NAMES = ["the", "cat", "sat", "on", "a", "mat", "dog", "ran"]
WORDS = st.lists(st.sampled_from(NAMES), max_size=40).map(" ".join)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{premise} and {hypothesis}", "has 0 blanks"),
        ("{premise} [MASK] {hypothesis} [MASK]", "has 2 blanks"),
        ("{premise [MASK]", "stray brace"),
        ("{} [MASK]", "without a name"),
        ("{premise|loud} [MASK]", "'loud'.*bare, uncapitalized"),
    ],
)
def test_a_pattern_that_is_none_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_pattern(text)


def test_filters_change_only_what_they_say():
    filled = fill_pattern(
        parse_pattern('"{a|bare|uncapitalized}" [MASK] {a}'), {"a": "What a Day?!\u3002 "}
    )
    assert filled.text == '"what a Day" [MASK] What a Day?!\u3002 '


def test_an_unknown_field_is_named_with_the_nearest_one():
    with pytest.raises(ValueError, match=r"'premis'.*'premise'"):
        fill_pattern(parse_pattern("{premis} [MASK]"), {"premise": "x"})


def test_a_blank_in_the_data_is_only_text(tiny):
    pattern = parse_pattern("{text} It was [MASK].")
    special = special_ids(tiny.tokenizer)
    filled = fit_pattern(
        tiny.tokenizer, special, pattern, {"text": "a [MASK] {b}"}, shorten={}, max_tokens=100
    )
    assert [i for i in filled.token_ids if i in special.blanks] == [special.mask]
    assert filled.text == "a [MASK] {b} It was [MASK]."


@given(first=WORDS, second=WORDS, room=st.integers(12, 60), end=st.sampled_from(["start", "end"]))
def test_a_fitted_pattern_keeps_its_blank_and_loses_fields_in_order(
    tiny_of_each_kind, first, second, room, end
):
    tokenizer = tiny_of_each_kind.tokenizer
    special = special_ids(tokenizer)
    pattern = parse_pattern("{first} so [MASK] on {second}")
    filled = fit_pattern(
        tokenizer,
        special,
        pattern,
        {"first": first, "second": second},
        shorten={"first": end, "second": "end"},
        max_tokens=room,
    )
    assert len(filled.token_ids) <= room
    assert list(filled.token_ids).count(special.mask) == 1
    assert (filled.token_ids[0], filled.token_ids[-1]) == (special.cls, special.eos)
    kept_first = filled.before.removesuffix(" so ")
    kept_second = filled.after.removeprefix(" on ")
    assert first.startswith(kept_first) if end == "end" else first.endswith(kept_first)
    assert second.startswith(kept_second)
    if kept_second != second:
        assert kept_first == "", "the second field gave way while the first one still had words"
    assert bool(filled.num_removed) == ((kept_first, kept_second) != (first, second))


def test_without_an_order_the_longest_field_gives_way_first(tiny):
    fields = {"short": "the cat", "long": "a dog sat on a mat " * 5}
    filled = fit_pattern(
        tiny.tokenizer,
        special_ids(tiny.tokenizer),
        parse_pattern("{short} so [MASK] on {long}"),
        fields,
        shorten=None,
        max_tokens=20,
    )
    assert filled.before == "the cat so "
    assert fields["long"].startswith(filled.after.removeprefix(" on "))
    assert set(filled.num_removed) == {"long"}


def test_a_pattern_without_enough_room_is_refused(tiny):
    pattern = parse_pattern("the cat sat on a mat [MASK] {text}")
    with pytest.raises(ValueError, match=r"text.*`shorten`"):
        fit_pattern(
            tiny.tokenizer,
            special_ids(tiny.tokenizer),
            pattern,
            {"text": "a dog ran"},
            shorten={"text": "end"},
            max_tokens=5,
        )
