"""What tokens spell adds up to the text, in every script."""

import pytest

from unblank.tokenization.encoding import encode_texts
from unblank.tokenization.token_bytes import token_bytes
from unblank.tokenization.train import train_tokenizer

pytestmark = pytest.mark.filterwarnings("ignore:the text is too small")

WORDS = [
    "The quick brown fox, and 12 dogs.",
    "Größe, naïve — “quoted”.",
    "\u0e1d\u0e19\u0e15\u0e01\u0e2b\u0e19\u0e31\u0e01",
    "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645",
    "\u96e8\u304c\u964d\u308b\u3002 \U0001f327",
]


@pytest.mark.parametrize("normalization", ["nfc", "none"])
@pytest.mark.parametrize(("kind", "size"), [("bpe", 400), ("unigram", 800)])
def test_tokens_spell_the_bytes_of_the_text(kind, size, normalization):
    tokenizer = train_tokenizer(
        WORDS[:3], kind=kind, vocab_size=size, normalization=normalization, show_progress=False
    )
    spelt = token_bytes(tokenizer)
    for text, ids in zip(WORDS, encode_texts(tokenizer, WORDS), strict=True):
        start = " " if kind == "unigram" else ""  # the word start before a text
        assert b"".join(spelt[number] for number in ids) == f"{start}{text}".encode()


def test_a_wordpiece_that_begins_a_word_stands_for_a_space():
    tokenizer = train_tokenizer(WORDS, kind="wordpiece", vocab_size=600, show_progress=False)
    spelt = token_bytes(tokenizer)
    (ids,) = encode_texts(tokenizer, ["quick brown"])
    assert b"".join(spelt[number] for number in ids) == b" quick brown"
    assert spelt[tokenizer.mask_token_id] == b""
