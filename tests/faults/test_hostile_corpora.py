"""Prepared corpora whose records lie, with checksums that agree: every number must come true."""

import hashlib
import json
import os
import pickle
import shutil

import numpy as np
import pytest
from tiny_models import trained_tokenizer

from unblank.data.prepared import PreparedCorpus
from unblank.data.shards import CorpusCache, prepare_corpus
from unblank.data.sources import TextFiles
from unblank.describing.folder import describe_folder
from unblank.integrity import MANIFEST_NAME, seal

TEXTS = [f"the cat number {number} sat on a mat" for number in range(20)]


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpora")
    for part in range(2):
        (folder / f"{part}.txt").write_text("\n".join(TEXTS[part::2]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("unblank.data.shards._SHARD_BYTES", 400)  # a file each
        return prepare_corpus(
            [folder / "0.txt", folder / "1.txt"],
            trained_tokenizer("bpe"),
            cache_dir=folder / "cache",
            text_unit="line",
            show_progress=False,
        ).folder


@pytest.fixture
def corpus(good, tmp_path):
    """A corpus of two shards."""
    shutil.copytree(good.parent, tmp_path / "cache")
    return tmp_path / "cache" / good.name


def shard_of(corpus):
    return corpus.with_name(json.loads((corpus / MANIFEST_NAME).read_text())["shards"][0])


def said(folder, **fields):
    """Change what a record says; it is sealed again."""
    record = json.loads((folder / MANIFEST_NAME).read_text())
    del record["checksum"]
    report = record["report"] | fields.pop("report", {})
    (folder / MANIFEST_NAME).write_text(seal(record | {"report": report} | fields))


def offsets_given(change):
    def do(corpus):
        shard = shard_of(corpus)
        offsets = np.fromfile(shard / "offsets.bin", np.int64)
        change(offsets)
        offsets.tofile(shard / "offsets.bin")
        content = (shard / "offsets.bin").read_bytes()
        said(shard, offsets_checksum=hashlib.blake2b(content, digest_size=16).hexdigest())

    return do


def put(place, value):
    def change(offsets):
        offsets[place] = value

    return change


def piped(name):
    def do(corpus):
        (shard_of(corpus) / name).unlink()
        os.mkfifo(shard_of(corpus) / name)

    return do


def piped_record(corpus):
    (corpus / MANIFEST_NAME).unlink()
    os.mkfifo(corpus / MANIFEST_NAME)
    (corpus / "offsets.bin").touch()


def empty_with_a_pipe(corpus):
    shard = shard_of(corpus)
    (shard / "tokens.bin").unlink()
    os.mkfifo(shard / "tokens.bin")
    np.zeros(1, np.int64).tofile(shard / "offsets.bin")
    content = (shard / "offsets.bin").read_bytes()
    said(
        shard,
        report={"num_kept": 0, "num_tokens": 0},
        offsets_checksum=hashlib.blake2b(content, digest_size=16).hexdigest(),
    )


LIES = {
    "a shard elsewhere": lambda corpus: said(corpus, shards=["../../outside"]),
    "a shard at a root": lambda corpus: said(corpus, shards=["/etc"]),
    "itself as a shard": lambda corpus: said(corpus, shards=[corpus.name]),
    "no shards": lambda corpus: said(corpus, shards=[]),
    "shards that are lists": lambda corpus: said(corpus, shards=[[]]),
    "shards that are a number": lambda corpus: said(corpus, shards=3),
    "a shard that is missing": lambda corpus: said(corpus, shards=["ab" * 12]),
    "too few documents": lambda corpus: said(corpus, report={"num_kept": 1}),
    "more documents than fit": lambda corpus: said(corpus, report={"num_kept": 2**62}),
    "a fraction of a document": lambda corpus: said(shard_of(corpus), report={"num_kept": 10.0}),
    "a text for a number": lambda corpus: said(corpus, report={"num_kept": "9"}),
    "nothing for a number": lambda corpus: said(corpus, report={"num_kept": None}),
    "tokens below nothing": lambda corpus: said(corpus, report={"num_tokens": -1}),
    "tokens beyond all": lambda corpus: said(shard_of(corpus), report={"num_tokens": 10**40}),
    "more tokens than its shards": lambda corpus: said(corpus, report={"num_tokens": 10**9}),
    "a list for the counts": lambda corpus: changed(corpus, report=[1]),
    "an unknown count": lambda corpus: said(corpus, report={"num_cats": 1}),
    "objects for tokens": lambda corpus: said(shard_of(corpus), dtype="O"),
    "texts for tokens": lambda corpus: said(shard_of(corpus), dtype="U9"),
    "records for tokens": lambda corpus: said(shard_of(corpus), dtype="u4,u4"),
    "wider tokens": lambda corpus: said(shard_of(corpus), dtype="u8"),
    "a type that is a list": lambda corpus: said(shard_of(corpus), dtype=[["a", "O"]]),
    "a beginning below 0": offsets_given(put(0, -5)),
    "an end beyond the tokens": offsets_given(put(-1, 2**40)),
    "a document that ends before it begins": offsets_given(put(4, 0)),
    "a document far away": offsets_given(put(5, 2**62)),
    "a pipe for its record": piped_record,
    "a pipe for a shard's record": piped(MANIFEST_NAME),
    "a pipe for tokens": piped("tokens.bin"),
    "a pipe for offsets": piped("offsets.bin"),
    "a pipe for no tokens": empty_with_a_pipe,
}
"""What is done to a corpus of two shards."""


def changed(corpus, **fields):
    record = json.loads((corpus / MANIFEST_NAME).read_text())
    del record["checksum"]
    (corpus / MANIFEST_NAME).write_text(seal(record | fields))


@pytest.mark.parametrize("lie", LIES)
def test_a_corpus_that_lies_is_refused_by_name(corpus, lie):
    LIES[lie](corpus)
    with pytest.raises(ValueError, match=r"manifest\.json|offsets\.bin|tokens\.bin") as caught:
        PreparedCorpus(corpus)
    assert str(corpus.parent) in str(caught.value)


@pytest.mark.parametrize("lie", LIES)
def test_a_corpus_that_lies_is_described_or_refused(corpus, lie):
    LIES[lie](corpus)
    for folder in (corpus, corpus.parent):
        assert str(corpus.parent) in damage_said_of(folder)


def damage_said_of(folder):
    try:
        return describe_folder(folder, verify=True).damage
    except ValueError as error:
        return str(error)


def test_a_cache_that_leads_elsewhere_is_made_anew_and_nothing_outside_is_touched(good, tmp_path):
    shutil.copytree(good.parent, tmp_path / "cache")
    outside = shutil.move(tmp_path / "cache" / good.name, tmp_path / "outside")
    (tmp_path / "outside" / MANIFEST_NAME).write_text("{}")
    (tmp_path / "cache" / good.name).symlink_to(outside)
    texts = TextFiles(
        paths=(good.parent.parent / "0.txt", good.parent.parent / "1.txt"),
        text_field="text",
        text_unit="line",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("unblank.data.shards._SHARD_BYTES", 10)
        cache = CorpusCache(tmp_path / "cache", show_progress=False)
        (made,) = cache.prepare([(texts, 2)], trained_tokenizer("bpe"))
    assert made.folder.name == good.name
    assert len(made) == len(TEXTS)
    assert (tmp_path / "outside" / MANIFEST_NAME).read_text() == "{}"


def test_a_token_that_the_vocabulary_lacks_is_named_when_it_is_read(good):
    corpus = PreparedCorpus(good, num_ids=5)
    with pytest.raises(ValueError, match=r"only 5 tokens") as caught:
        corpus.tokens(0)
    assert str(good) in str(caught.value)
    with pytest.raises(ValueError, match=r"only 5 tokens"):
        corpus.count_tokens(5)
    with pytest.raises(ValueError, match=r"only 5 tokens"):
        pickle.loads(pickle.dumps(corpus)).tokens(0)


def test_a_corpus_that_is_found_ready_knows_its_vocabulary(good):
    files = [good.parent.parent / f"{part}.txt" for part in range(2)]
    tokenizer = trained_tokenizer("bpe")
    found = prepare_corpus(files, tokenizer, cache_dir=good.parent, text_unit="line")
    assert found.num_ids == len(tokenizer)
