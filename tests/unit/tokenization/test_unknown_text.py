"""What a tokenizer has no token for is said wherever a text goes in, once."""

import io
import warnings

import pytest
from rich.console import Console
from tiny_models import small_tokenizer, tiny_unblank
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from unblank.data.report import documents_table
from unblank.data.shards import prepare_corpus
from unblank.describing.languages import length_counts
from unblank.finetuning.pairs.encoding import PairEncoder
from unblank.finetuning.pairs.text import TextPair
from unblank.finetuning.settings import PairSettings
from unblank.tokenization import special_ids
from unblank.tokenization.encoding import encode_texts
from unblank.tokenization.fidelity import count_words

LONG = "a" * 100_000
LOST = ["cat \u4e2d\u6587", LONG, f"a {LONG} b", "the \U0001f600"]


def kinds_with_unknown():
    """Yield a tokenizer of each kind that has no token for some text."""
    yield small_tokenizer("wordpiece")
    names = {"unk_token": "[UNK]", "pad_token": "[PAD]"}
    pieces = [("[UNK]", -9.0), ("[PAD]", -9.0), ("\u2581", -2.0), ("cat", -1.0), ("e", -3.0)]
    unigram = Tokenizer(models.Unigram(pieces, 0, False))
    unigram.pre_tokenizer = pre_tokenizers.Metaspace()
    yield PreTrainedTokenizerFast(tokenizer_object=unigram, **names)
    vocabulary = {"[UNK]": 0, "[PAD]": 1, "c": 2, "t": 3, "e": 4}
    plain = Tokenizer(models.BPE(vocabulary, [], unk_token="[UNK]", fuse_unk=True))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    yield PreTrainedTokenizerFast(tokenizer_object=plain, **names)


@pytest.mark.parametrize("text", LOST, ids=range(len(LOST)))
@pytest.mark.parametrize("kind", range(3))
def test_lost_text_is_said_once(kind, text):
    tokenizer = list(kinds_with_unknown())[kind]
    with pytest.warns(UserWarning, match="unknown") as said:
        ids = encode_texts(tokenizer, ["cat", text])
    with warnings.catch_warnings(action="error"):
        encode_texts(tokenizer, [text])
    assert len(said) == 1
    count = sum(one.count(tokenizer.unk_token_id) for one in ids)
    assert f"{count:,} of " in str(said[0].message)
    assert len(str(said[0].message)) < 300


@pytest.mark.parametrize("kind", ["bpe", "wordpiece"])
def test_of_known_text_nothing_is_said(kind):
    tokenizer = small_tokenizer(kind)
    with warnings.catch_warnings(action="error"):
        encode_texts(tokenizer, ["the old grey cat", "", "[UNK] [MASK]"])
        if kind == "bpe":
            encode_texts(tokenizer, LOST)


def test_the_words_of_a_report_take_no_turn():
    tokenizer = small_tokenizer("wordpiece")
    with warnings.catch_warnings(action="error"):
        assert length_counts(tokenizer, ["the \u4e2d"]).tokens == 2
        assert count_words(tokenizer, ["the \u4e2d"]).unknown == 1
    with pytest.warns(UserWarning, match="\u4e2d"):
        encode_texts(tokenizer, ["the \u4e2d"])


def words_calls():
    return {
        "fill": lambda model: model.fill("the \u4e2d [MASK] cat"),
        "score": lambda model: model.score("the [MASK] cat", ["old", "\u4e2d"]),
        "generate": lambda model: model.generate("the \u4e2d cat"),
    }


@pytest.mark.parametrize("name", words_calls())
def test_calls_say_what_is_lost(name):
    model = tiny_unblank("wordpiece")
    with pytest.warns(UserWarning, match="\u4e2d"):
        words_calls()[name](model)


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("form", ["the cat", "the [MASK] cat"])
def test_pairs_say_what_is_lost(side, form):
    tokenizer = small_tokenizer("wordpiece")
    texts = {"source": form, "target": "old"}
    texts[side] += " \u4e2d"
    pair = TextPair("a.tsv, line 1", texts["source"], (texts["target"],))
    encoder = PairEncoder(
        tokenizer, special_ids(tokenizer), PairSettings(), in_blank=True, show_progress=False
    )
    with pytest.warns(UserWarning, match="\u4e2d"):
        encoder.encode([pair], None, "a.tsv")


def test_a_corpus_counts_what_is_lost(tmp_path):
    (tmp_path / "a.txt").write_text(f"the cat {LONG} saw \u4e2d\n", encoding="utf-8")
    for _ in ("made", "found"):
        corpus = prepare_corpus(
            tmp_path / "a.txt",
            small_tokenizer("wordpiece"),
            cache_dir=tmp_path / "shards",
            show_progress=False,
        )
        assert corpus.report.num_unknown == 2
        output = io.StringIO()
        Console(file=output, width=200).print(documents_table([("a", [corpus])], max_length=50))
        assert "2 tokens stand for" in " ".join(output.getvalue().split())
