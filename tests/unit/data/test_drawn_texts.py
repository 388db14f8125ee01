"""Drawing text by size ** alpha: the shares are those of the formula, and the same each time."""

import pytest

from unblank.data.drawn_texts import DrawnTexts, beginnings

SIZES = {"a": 6000, "b": 600, "c": 60}
SOURCES = [[letter * 3] * (size // 3) for letter, size in SIZES.items()]


@pytest.mark.parametrize("alpha", [1.0, 0.7, 0.3, 0.0])
def test_the_shares_are_those_of_the_formula(alpha):
    text = "".join(DrawnTexts(SOURCES, alpha))
    powers = {letter: size**alpha for letter, size in SIZES.items()}
    for letter, power in powers.items():
        wanted = sum(SIZES.values()) * power / sum(powers.values())
        assert text.count(letter) == pytest.approx(wanted, rel=0.05, abs=40)


@pytest.mark.parametrize("alpha", [None, 0.3])
def test_a_sample_has_the_same_shares(alpha):
    text = "".join(DrawnTexts(SOURCES, alpha, 1500))
    powers = {letter: size ** (alpha or 1.0) for letter, size in SIZES.items()}
    for letter, power in powers.items():
        wanted = 1500 * power / sum(powers.values())
        assert text.count(letter) == pytest.approx(wanted, rel=0.1, abs=60)
    assert len("".join(DrawnTexts(SOURCES, alpha, 10**6))) <= 1.1 * sum(SIZES.values())


def test_without_alpha_everything_is_read_once_in_order():
    assert list(DrawnTexts(SOURCES)) == [text for source in SOURCES for text in source]


def test_the_same_documents_are_drawn_each_time():
    sources = [[f"{number} of many" for number in range(500)], ["the only one"]]
    drawn = DrawnTexts(sources, 0.3)
    assert list(drawn) == list(drawn) == list(DrawnTexts(sources, 0.3))
    assert drawn.num_bytes_read == drawn.num_bytes


def test_an_empty_source_is_no_hindrance():
    assert set(DrawnTexts([["ab"], []], 0.3)) == {"ab"}


def test_the_beginning_of_each_source_counts_alike():
    assert "".join(beginnings(SOURCES, 30)) == "a" * 10 + "b" * 10 + "c" * 10
