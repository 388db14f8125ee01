"""From files on disk to rows: prepared corpora, the real objectives, packing."""

import gzip
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from stand_ins import assert_same_rows

from unblank.data.loader import RowStream
from unblank.data.sampling import Sampler, SamplingSettings
from unblank.data.shards import prepare_corpus
from unblank.objectives.mixture import build_objective
from unblank.objectives.settings import ObjectiveSettings
from unblank.tokenization.encoding import encode_texts
from unblank.tokenization.sentences import sentence_end_flags
from unblank.tokenization.special import special_ids
from unblank.tokenization.train import train_tokenizer

RELEASED_MIXTURE = {"token": 0.5, "sentence": 0.3, "document": 0.2}


def files_sampler(
    sources: list[Path], folder: Path, tokenizer, *, max_length: int, field: str = "text", **weights
) -> Sampler:
    special = special_ids(tokenizer)
    objective = build_objective(
        ObjectiveSettings(**weights), special, sentence_end_flags(tokenizer), max_length
    )
    corpora = [
        prepare_corpus(source, tokenizer, cache_dir=folder, text_field=field, show_progress=False)
        for source in sources
    ]
    return Sampler(corpora, objective, special, SamplingSettings(max_length=max_length, seed=1))


def used_share(sampler: Sampler, row_length: int, num_windows: int) -> float:
    with RowStream(sampler, row_length=row_length) as stream:
        rows = list(itertools.takewhile(lambda _: stream.state.window < num_windows, stream))
    return sum(row.num_used for row in rows) / (len(rows) * row_length)


@pytest.mark.filterwarnings("ignore:the text is too small")
def test_two_sources_on_disk_stream_alike_with_and_without_workers(tmp_path):
    words = np.array(["the", "lamp", "burned", "in", "a", "house", "by", "river", "nobody"])
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(words, size)) + "." for size in (300, 20, 8, 150, 40)]
    (tmp_path / "long.txt").write_text("\n\n".join(texts))
    lines = [json.dumps({"text": text}) for text in texts]
    (tmp_path / "short.jsonl").write_text("\n".join(lines))
    tokenizer = train_tokenizer(texts, kind="wordpiece", vocab_size=300, show_progress=False)
    paths = [tmp_path / "long.txt", tmp_path / "short.jsonl"]
    options = {"max_length": 64, **RELEASED_MIXTURE}
    sampler = files_sampler(paths, tmp_path / "shards", tokenizer, **options)
    alone = list(itertools.islice(RowStream(sampler, row_length=96), 300))
    with RowStream(sampler, row_length=96, num_workers=2) as stream:
        assert_same_rows(list(itertools.islice(stream, 300)), alone)
    known = set(itertools.chain.from_iterable(encode_texts(tokenizer, texts)))
    special = special_ids(tokenizer)
    allowed = {*known, special.cls, special.eos, special.sop, *special.blanks}
    assert {int(token) for row in alone for token in np.unique(row.input_ids)} <= allowed


@pytest.fixture(scope="module")
def novels(data_dir, tmp_path_factory):
    """The first novels and a tokenizer of their words."""
    with gzip.open(data_dir / "text_en" / "novels.train.jsonl.gz", "rt") as file:
        lines = list(itertools.islice(file, 200))
    path = tmp_path_factory.mktemp("novels") / "novels.jsonl"
    path.write_text("".join(lines))
    texts = [json.loads(line)["text"] for line in lines[:100]]
    return path, train_tokenizer(texts, kind="wordpiece", vocab_size=4000, show_progress=False)


@pytest.mark.parametrize("weights", [{"token": 1.0}, RELEASED_MIXTURE], ids=["token", "mixture"])
def test_rows_of_novels_are_97_percent_full(novels, weights):
    path, tokenizer = novels
    sampler = files_sampler([path], path.parent, tokenizer, max_length=512, **weights)
    assert used_share(sampler, 512, num_windows=2) >= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("row_length", [512, 2048])
def test_rows_of_sentences_are_97_percent_full(novels, data_dir, row_length):
    path, tokenizer = novels
    source = data_dir / "nlu" / "glue" / "SST-2" / "train.jsonl.gz"
    options = {"max_length": 512, "field": "sentence", "token": 1.0}
    sampler = files_sampler([source], path.parent, tokenizer, **options)
    assert used_share(sampler, row_length, num_windows=2) >= 0.97
