"""Our cores cut and show text as the sentencepiece library itself does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unblank.conversion.sentencepiece import read_sentencepiece, sentencepiece_core

sentencepiece = pytest.importorskip("sentencepiece")

CORPUS = [
    "the cat sat on the mat",
    "a dog ran to the town; it was late",
    "x<n>y (one) [two]",
    "a < b > c u k",
] * 20
ALPHABET = "the catsondmrwli;x<n>y (one)[two]  \u3000\uff21\u00e9\u4e16"


class Pair:
    """The library's processor and our core of one small model."""

    def __init__(self, path):
        self.processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
        self.core = sentencepiece_core(read_sentencepiece(path))


@pytest.fixture(scope="module", params=["unigram", "bpe"])
def pair(request, tmp_path_factory):
    prefix = tmp_path_factory.mktemp("spm") / request.param
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS), model_prefix=str(prefix), vocab_size=60,
        model_type=request.param, user_defined_symbols=["<n>"], hard_vocab_limit=False,
        character_coverage=1.0, minloglevel=2,
    )  # fmt: skip
    return Pair(prefix.with_suffix(".model"))


@given(text=st.text(ALPHABET, max_size=40))
def test_ids_and_shown_text_equal_the_library(pair, text):
    ids = pair.processor.encode(text)
    assert pair.core.encode(text).ids == ids
    assert pair.core.decode(ids, skip_special_tokens=False) == pair.processor.decode(ids)


def test_the_normalisation_of_the_model_is_kept(pair):
    for text in ("\ufb01ne \uff33\uff29", "  two   spaces  ", "line\nbreak\ttab", ""):
        assert pair.core.encode(text).ids == pair.processor.encode(text)


def test_control_pieces_are_not_cut_out_of_text(pair):
    tokens = pair.core.encode("a <s> b <unk> c").tokens
    assert not {"<s>", "</s>", "<unk>"} & set(tokens)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "not.model"
    path.write_bytes(b"some other file\n")
    with pytest.raises(ValueError, match="SentencePiece"):
        read_sentencepiece(path)
