"""Text in 79 languages comes back byte for byte; a few words of our own where there is no data."""

import gzip
import json
import os
import unicodedata
from itertools import islice
from pathlib import Path

import pytest

from unblank.languages import find_language
from unblank.tokenization.encoding import encode_texts
from unblank.tokenization.train import train_tokenizer

pytestmark = pytest.mark.filterwarnings("ignore:the text is too small")

OWN = {
    "en": "Rain falls on the hill.",
    "de": "Regen f\u00e4llt auf den H\u00fcgel.",
    "ru": "\u0414\u043e\u0436\u0434\u044c \u0438\u0434\u0451\u0442.",
    "ar": "\u0627\u0644\u0645\u0637\u0631 \u064a\u0646\u0632\u0644.",
    "hi": "\u092c\u093e\u0930\u093f\u0936 \u0939\u094b \u0930\u0939\u0940 \u0939\u0948\u0964",
    "th": "\u0e1d\u0e19\u0e15\u0e01\u0e17\u0e35\u0e48\u0e19\u0e35\u0e48",
    "zh": "\u4e0b\u96e8\u4e86\uff01",
    "fa": "\u0645\u06cc\u200c\u0628\u0627\u0631\u062f",
    "vi": "Tr\u1eddi \u0111ang m\u01b0a.",
}


def samples(num_lines=12):
    """Return language -> lines; those of the data folder if it is there."""
    root = os.environ.get("UNBLANK_DATA")
    if not root:
        return {code: [text] for code, text in OWN.items()}
    found = {}
    for path in sorted((Path(root) / "parallel" / "bible").glob("*.tsv.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            lines = [next(file).rstrip("\n").partition("\t")[2] for _ in range(num_lines)]
        found[find_language(path.name.partition(".")[0]).code] = lines
    with gzip.open(
        Path(root) / "parallel" / "ntrex" / "dev.jsonl.gz", "rt", encoding="utf-8"
    ) as file:
        for _ in range(num_lines):
            for name, text in json.loads(next(file)).items():
                if name not in ("id", "doc"):
                    found.setdefault(find_language(name).code, []).append(text)
    with gzip.open(
        Path(root) / "parallel" / "tatoeba" / "pairs.jsonl.gz", "rt", encoding="utf-8"
    ) as file:
        for line in map(json.loads, islice(file, 0, None, 100)):
            found.setdefault(find_language(line["lang"]).code, []).append(line["text"])
    assert len(found) >= 79
    return found


@pytest.fixture(scope="module")
def texts():
    return samples()


@pytest.mark.parametrize(("kind", "size"), [("bpe", 2000), ("unigram", 3000)])
@pytest.mark.parametrize("normalization", ["none", "nfc"])
def test_every_language_comes_back_byte_for_byte(texts, kind, size, normalization):
    lines = [line for some in texts.values() for line in some]
    tokenizer = train_tokenizer(
        lines[::3], kind=kind, vocab_size=size, normalization=normalization, show_progress=False
    )
    for code, some in texts.items():
        # What a normalisation promises: NFC changes what is not NFC, and a Unigram, which marks
        # words by single spaces, makes one of several.
        wanted = [
            unicodedata.normalize("NFC", text) if normalization == "nfc" else text for text in some
        ]
        if kind == "unigram":
            wanted = [" ".join(text.split()) for text in wanted]
        back = tokenizer.decode(encode_texts(tokenizer, wanted), clean_up_tokenization_spaces=False)
        assert [text.encode() for text in back] == [text.encode() for text in wanted], code
