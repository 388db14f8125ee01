"""Hidden words: whole ones, apart from each other, that give the paragraph back."""

import pytest

from unblank.demo.blanks import hide_words

PARAGRAPHS = [
    "Return the first element of the sequence, or None if there is none of them.",
    "The file is closed when the block is left, whether or not an error was raised.",
    "\u0424\u0430\u0439\u043b \u0437\u0430\u043a\u0440\u044b\u0432\u0430\u0435\u0442\u0441\u044f, "
    "\u043a\u043e\u0433\u0434\u0430 \u0431\u043b\u043e\u043a "
    "\u043f\u043e\u043a\u0438\u0434\u0430\u044e\u0442 "
    "\u0438 \u043e\u0448\u0438\u0431\u043a\u0438 \u043d\u0435 \u0431\u044b\u043b\u043e.",
    "Too short to be measured.",
]


@pytest.mark.parametrize("num_blanks", [1, 2, 3])
@pytest.mark.parametrize("length", [1, 2, 3])
def test_the_originals_put_back_give_the_paragraph(num_blanks, length):
    hidden = hide_words(PARAGRAPHS, 9, 0, num_blanks=num_blanks, words_in_a_blank=length)
    assert len(hidden) >= 2
    for one in hidden:
        assert len(one.originals) == num_blanks == one.text.count("[MASK]")
        assert all(len(original.split()) == length for original in one.originals)
        assert "[MASK] [MASK]" not in one.text
        text = one.text
        for original in one.originals:
            text = text.replace("[MASK]", original, 1)
        assert text in PARAGRAPHS[:3]


def test_only_whole_words_are_hidden():
    text = "A bottom-up search doesn't visit Linear2 or x_y as they are no words."
    found = {one.originals for seed in range(40) for one in hide_words([text], 1, seed)}
    whole = {"search", "visit", "or", "as", "they", "are", "no", "words"}
    assert found == {(word,) for word in whole}


def test_a_seed_chooses_and_the_number_is_a_limit():
    assert hide_words(PARAGRAPHS, 3, 5) == hide_words(PARAGRAPHS, 3, 5)
    assert len({tuple(hide_words(PARAGRAPHS, 3, seed)) for seed in range(5)}) > 1
    assert len(hide_words(PARAGRAPHS, 2, 0)) == 2
    assert len(hide_words(PARAGRAPHS, 9, 0)) == 3
