"""Sentence ends and padding of vocabularies."""

import pytest

from unblank.tokenization.train import train_tokenizer
from unblank.tokenization.vocabulary import padded_vocab_size, sentence_end_flags

pytestmark = pytest.mark.filterwarnings("ignore:the text is too small")

TEXTS = [
    "One. Two? Three! Four; five: six\u2026 \u4e00\u3002\u4e8c\uff1f\u4e09\uff01 (x) a-b,\nc\n"
] * 9


@pytest.mark.parametrize(("kind", "size"), [("wordpiece", 400), ("unigram", 600), ("bpe", 500)])
def test_sentence_ends_are_the_tokens_that_hold_one(kind, size):
    tokenizer = train_tokenizer(
        TEXTS, kind=kind, vocab_size=size, extra_tokens=["[a.b]"], show_progress=False
    )
    flags = sentence_end_flags(tokenizer)
    assert flags.shape == (len(tokenizer),)
    for token_id in range(len(tokenizer)):
        is_special = token_id in tokenizer.added_tokens_decoder
        text = tokenizer.decode([token_id])
        expected = not is_special and any(
            end in text for end in ".?!;:\u3002\uff1f\uff01\uff1b\uff1a\u2026\n"
        )
        assert flags[token_id] == expected, text
    found = "".join(tokenizer.decode([int(i)]) for i in flags.nonzero()[0])
    wanted = ".?!;:\n\u3002" if kind == "bpe" else ".?!;:\u3002"
    assert set(wanted) <= set(found)


@pytest.mark.parametrize(("number", "padded"), [(1, 64), (64, 64), (65, 128), (30522, 30528)])
def test_padding_goes_to_the_next_multiple(number, padded):
    assert padded_vocab_size(number) == padded


def test_padding_nothing_is_refused():
    with pytest.raises(ValueError, match="must be positive"):
        padded_vocab_size(0)
