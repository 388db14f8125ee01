"""The demo's text: prose alone, and nothing of it on both sides of the split."""

import random

import pytest

from unblank.demo import corpus
from unblank.demo.corpus import installed_prose, prose_paragraphs, split_by_source

DOCSTRING = """Return the sum of all elements of the given sequence.

    >>> total([1, 2])
    3

    Args:
        values: The numbers that are added, in the order in which they stand.
        start (int, optional): Added before the first of them, which is hardly ever needed. It
            may be negative.
        axis : int, default 0
            Axis along which the numbers are added up, counted from zero.
        flag: whether to look.

    The `result` is exact for *whole* numbers, see :func:`math.fsum` for all others.
    - a list of things, none of which is a sentence
    x = [value for value in values if value is not None and value > 0]
    """


def test_sentences_stay_and_code_and_tables_go():
    assert list(prose_paragraphs(DOCSTRING)) == [
        "Return the sum of all elements of the given sequence.",
        "The numbers that are added, in the order in which they stand.",
        "Added before the first of them, which is hardly ever needed. It may be negative.",
        "Axis along which the numbers are added up, counted from zero.",
    ]


def test_markup_is_taken_away():
    text = "The `result` is exact for *whole* numbers, and :func:`fsum` is for all the others."
    (paragraph,) = prose_paragraphs(text)
    assert paragraph == "The result is exact for whole numbers, and fsum is for all the others."


def texts_of_sources(count):
    draw = random.Random(1)
    words = [f"w{number}" for number in range(3000)]
    return {
        f"module_{number}.py": [" ".join(draw.choices(words, k=20)) + "." for _ in range(4)]
        for number in range(count)
    }


def test_a_source_is_held_out_whole_or_not_at_all():
    sources = texts_of_sources(200)
    train, held_out = split_by_source(sources)
    assert set(train) | set(held_out) == {text for texts in sources.values() for text in texts}
    assert 4 <= len(held_out) <= 80
    for texts in sources.values():
        assert not set(texts) & set(held_out) or set(texts) <= set(held_out)


def test_a_held_out_copy_with_another_beginning_and_end_is_left_out():
    sources = texts_of_sources(200)
    train, held_out = split_by_source(sources)
    copied, kept = held_out[0], held_out[1]
    middle = " ".join(copied.split()[5:15]).upper()
    train_source = next(name for name, texts in sources.items() if train[0] in texts)
    sources[train_source].append(f"In other words, {middle}, as was said.")
    after = split_by_source(sources)[1]
    assert copied not in after
    assert kept in after


def check_that_nothing_leaks(sources):
    """Look for eight words in a row by another way: as a part of one long string."""
    train, held_out = split_by_source(sources)
    spoken = {ord(sign): " " for sign in ".,:;!?()'\"/-+*%&"}
    everything = f" {' '.join(' '.join(train).lower().translate(spoken).split())} "
    sample = random.Random(0).sample(held_out, min(30, len(held_out)))
    assert sample
    for text in sample:
        words = text.lower().translate(spoken).split()
        for start in range(len(words) - 7):
            assert f" {' '.join(words[start : start + 8])} " not in everything


def test_nothing_leaks_from_some_modules_of_python(monkeypatch):
    modules = list(corpus._standard_library())[:60]
    monkeypatch.setattr(corpus, "_standard_library", lambda: modules)
    monkeypatch.setattr(corpus, "_packages", lambda: [])
    monkeypatch.setattr(corpus, "_topics", lambda: [])
    sources = installed_prose()
    assert sum(map(len, sources.values())) > 150
    check_that_nothing_leaks(sources)


@pytest.mark.slow
def test_nothing_leaks_from_the_installation():
    sources = installed_prose()
    assert sum(len(text) for texts in sources.values() for text in texts) > 3_000_000
    beginnings = [" ".join(text.split()[:8]) for texts in sources.values() for text in texts]
    assert len(set(beginnings)) == len(beginnings)
    assert any(name.startswith("torch/") for name in sources)
    check_that_nothing_leaks(sources)
