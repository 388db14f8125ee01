"""Corpora of several shards: the same ids in the same order, whoever prepared them."""

import json
import os
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from unblank.data import prepared, shard_files, shards
from unblank.data.files import find_files
from unblank.data.prepared import PreparedCorpus
from unblank.data.sampling import Sampler, SamplingSettings
from unblank.data.shards import CorpusCache, prepare_corpus
from unblank.data.sources import TextFiles
from unblank.describing.folder import describe_folder
from unblank.tokenization.encoding import encode_texts
from unblank.tokenization.special import special_ids
from unblank.tokenization.train import train_tokenizer

pytestmark = pytest.mark.filterwarnings("ignore:the text is too small")

WORDS = ["the", "cat", "sat", "on", "a", "mat.", "text!\n"]
TEXTS = [" ".join(WORDS[(i * j) % len(WORDS)] for j in range(i % 20 + 1)) for i in range(120)]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS, kind="bpe", vocab_size=300, show_progress=False)


@pytest.fixture
def folder(tmp_path):
    """Twelve files of ten texts; one of them has nothing to learn from."""
    (tmp_path / "text").mkdir()
    for number in range(12):
        texts = TEXTS[10 * number : 10 * number + 10] if number != 5 else ["", " "]
        path = tmp_path / "text" / f"{number:02}.jsonl"
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return tmp_path / "text"


@pytest.fixture
def small_shards(monkeypatch):
    """Shards of few files, whose tokens are checked in small blocks as they are read."""
    monkeypatch.setattr(shards, "_SHARD_BYTES", 2000)
    for module in (shard_files, prepared):
        monkeypatch.setattr(module, "CHECKED_BYTES", 64)
    monkeypatch.setattr(prepared, "_CHECKED_WHEN_OPENED", 0)


def documents(corpus: PreparedCorpus) -> list[list[int]]:
    return [corpus.tokens(index).tolist() for index in range(len(corpus))]


def expected(folder, tokenizer):
    texts = [json.loads(line)["text"] for path in sorted(folder.iterdir())
             for line in path.read_text().splitlines()]  # fmt: skip
    return [ids for ids in encode_texts(tokenizer, texts) if len(ids) > 1]


def prepare(folder, tokenizer, cache, **options):
    return prepare_corpus(
        folder, tokenizer, cache_dir=cache, show_progress=False, num_threads=1, **options
    )


class Together:
    """Processes that are threads here: they wait for one another as those of a run do."""

    def __init__(self, rank, values, barrier):
        self.rank, self.size = rank, len(values)
        self._values, self._barrier = values, barrier

    def gather(self, value, /):
        self._values[self.rank] = value
        self._barrier.wait(60)
        found = list(self._values)
        self._barrier.wait(60)
        return found


def prepare_together(folder, tokenizer, cache, size):
    values, barrier, found = [None] * size, threading.Barrier(size), [None] * size

    def work(rank):
        one = CorpusCache(
            cache, processes=Together(rank, values, barrier), num_threads=1, show_progress=False
        )
        found[rank] = one.prepare([(TextFiles(paths=find_files(folder)), 2)], tokenizer)[0]

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_a_corpus_of_shards_is_the_corpus_of_one(folder, tokenizer, tmp_path, monkeypatch):
    whole = prepare(folder, tokenizer, tmp_path / "one")
    monkeypatch.setattr(shards, "_SHARD_BYTES", 2000)
    divided = prepare(folder, tokenizer, tmp_path / "many")
    assert len(list((tmp_path / "many").glob("*/tokens.bin"))) > 3
    assert documents(divided) == documents(whole) == expected(folder, tokenizer)
    assert divided.folder.name == whole.folder.name
    assert divided.report == whole.report
    assert divided.lengths.tolist() == whole.lengths.tolist()
    counts = divided.count_tokens(len(tokenizer))
    assert counts.tolist() == whole.count_tokens(len(tokenizer)).tolist()
    # A cache that an older version has made as one folder is found by its name.
    monkeypatch.setattr(shards, "write_shard", None)
    assert documents(prepare(folder, tokenizer, tmp_path / "one")) == documents(whole)


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("ending", [".jsonl", ".tsv"])
def test_one_large_file_is_shared_out(folder, tokenizer, tmp_path, monkeypatch, size, ending):
    large = tmp_path / f"large{ending}"
    content = "".join(path.read_text() for path in sorted(folder.iterdir()))
    if ending == ".tsv":
        texts = [json.loads(line)["text"].replace("\n", " ") for line in content.splitlines()]
        content = "id\ttext\n" + "".join(f"{number}\t{text}\n" for number, text in enumerate(texts))
    large.write_text(content)
    whole = prepare(large, tokenizer, tmp_path / "whole")
    monkeypatch.setattr(shards, "_SHARD_BYTES", 1000)
    for corpus in prepare_together(large, tokenizer, tmp_path / "together", size):
        assert corpus.folder.name == whole.folder.name
        assert documents(corpus) == documents(whole)
        assert corpus.report == whole.report
    assert len(list((tmp_path / "together").glob("*/tokens.bin"))) > 3


@pytest.mark.parametrize("size", [2, 3])
def test_processes_prepare_what_one_does(folder, tokenizer, tmp_path, small_shards, size):
    alone = prepare(folder, tokenizer, tmp_path / "alone")
    for corpus in prepare_together(folder, tokenizer, tmp_path / "together", size):
        assert corpus.folder.name == alone.folder.name
        assert documents(corpus) == documents(alone)
    names = [sorted(path.name for path in (tmp_path / name).glob("[0-9a-f]*"))
             for name in ("alone", "together")]  # fmt: skip
    assert names[0] == names[1]


def test_each_process_makes_its_share(folder, tokenizer, tmp_path, small_shards, monkeypatch):
    build, by_thread = shards.write_shard, {}

    def noted(building, documents, shard, *rest):
        made = by_thread.setdefault(threading.get_ident(), [])
        made.append(shard.texts.num_bytes)
        build(building, documents, shard, *rest)

    monkeypatch.setattr(shards, "write_shard", noted)
    prepare_together(folder, tokenizer, tmp_path / "cache", 2)
    loads = sorted(map(sum, by_thread.values()))
    assert len(loads) == 2
    assert loads[1] < 1.5 * loads[0]


def test_what_was_finished_before_a_kill_is_not_made_again(
    folder, tokenizer, tmp_path, small_shards, monkeypatch
):
    build, made = shards.write_shard, []

    def killed(*args):
        if len(made) == 3:
            raise KeyboardInterrupt
        build(*args)
        made.append(args[2].name)

    monkeypatch.setattr(shards, "write_shard", killed)
    with pytest.raises(KeyboardInterrupt):
        prepare(folder, tokenizer, tmp_path / "cache")
    first = list(made)
    made[:] = ["not a fourth one"] * -3
    monkeypatch.setattr(
        shards, "write_shard", lambda *args: (made.append(args[2].name), build(*args))[1]
    )
    corpus = prepare(folder, tokenizer, tmp_path / "cache")
    assert documents(corpus) == expected(folder, tokenizer)
    assert not set(first) & set(made[len(first) :])


def test_a_new_file_leaves_the_shards_before_it(
    folder, tokenizer, tmp_path, small_shards, monkeypatch
):
    prepare(folder, tokenizer, tmp_path / "cache")
    (folder / "99.jsonl").write_text(json.dumps({"text": "the cat sat " * 200}) + "\n")
    build, made = shards.write_shard, []
    monkeypatch.setattr(
        shards, "write_shard", lambda *args: (made.append(args[2].name), build(*args))[1]
    )
    assert documents(prepare(folder, tokenizer, tmp_path / "cache")) == expected(folder, tokenizer)
    assert len(made) == 1


@pytest.mark.parametrize("seed", range(5))
def test_a_flipped_bit_is_found_when_it_is_read_and_by_verify(
    folder, tokenizer, tmp_path, small_shards, seed, capsys
):
    cache = tmp_path / "cache"
    corpus = prepare(folder, tokenizer, cache)
    whole = documents(corpus)
    rng = np.random.default_rng(seed)
    paths = [path for path in sorted(cache.glob("*/tokens.bin")) if path.stat().st_size]
    path = paths[rng.integers(len(paths))]
    content = bytearray(path.read_bytes())
    content[rng.integers(len(content))] ^= 1 << rng.integers(8)
    path.write_bytes(content)
    opened = PreparedCorpus(corpus.folder)
    messages, num_read = [], 0
    for index in range(len(opened)):
        try:
            ids = opened.tokens(index).tolist()
        except ValueError as error:
            messages.append(str(error))
        else:
            num_read += ids == whole[index]
    assert messages
    assert all(str(path) in message for message in messages)
    assert num_read + len(messages) == len(whole)
    with pytest.raises(ValueError, match="checksum"):
        PreparedCorpus(corpus.folder, verify=True)
    described = describe_folder(corpus.folder, verify=True)
    assert described.kind == "prepared corpus"
    assert str(path) in described.damage
    (again,) = CorpusCache(cache, verify=True, num_threads=1).prepare(
        [(TextFiles(paths=find_files(folder)), 2)], tokenizer
    )
    assert "Preparing this corpus again" in capsys.readouterr().err
    assert documents(again) == whole


def test_a_manifest_leads_nowhere_else(folder, tokenizer, tmp_path, small_shards):
    corpus = prepare(folder, tokenizer, tmp_path / "cache")
    path = corpus.folder / "manifest.json"
    record = json.loads(path.read_text())
    for shard in ("../other", corpus.folder.name, "/etc"):
        path.write_text(json.dumps({**record, "shards": [shard], "checksum": None}))
        with pytest.raises(ValueError, match=r"manifest\.json"):
            PreparedCorpus(corpus.folder)


def test_texts_without_a_document_are_refused_and_leave_no_corpus(
    folder, tokenizer, tmp_path, small_shards
):
    for path in folder.iterdir():
        path.write_text('{"text": " "}\n' * 200)
    with pytest.raises(ValueError, match="2400 read, 2400"):
        prepare(folder, tokenizer, tmp_path / "cache")


def test_samples_do_not_depend_on_the_shards(folder, tokenizer, tmp_path, monkeypatch):
    special = special_ids(tokenizer)
    settings = SamplingSettings(max_length=32, seed=3)
    whole = prepare(folder, tokenizer, tmp_path / "one")
    monkeypatch.setattr(shards, "_SHARD_BYTES", 2000)
    monkeypatch.setattr(prepared, "_COUNTED_AT_ONCE", 7)
    divided = prepare(folder, tokenizer, tmp_path / "many")
    one, many = (Sampler([corpus], lambda ids, rng: ids, special, settings)
                 for corpus in (whole, divided))  # fmt: skip
    assert one.num_chunks == many.num_chunks
    for number in range(200):
        assert one.text_ids(number).tolist() == many.text_ids(number).tolist()


def test_the_shards_of_another_tokenizer_are_prepared_again(folder, tokenizer, tmp_path, capsys):
    """All of their ids are in the vocabulary, so nothing else would tell."""
    other = train_tokenizer(["b c d"], kind="bpe", vocab_size=280, show_progress=False)
    theirs = prepare(folder, other, tmp_path / "theirs")
    ours = prepare(folder, tokenizer, tmp_path / "ours")
    expected = [ours.tokens(number).tolist() for number in range(len(ours))]
    name = ours.folder.name
    del ours
    shutil.rmtree(tmp_path / "ours" / name)
    shutil.copytree(theirs.folder, tmp_path / "ours" / name)
    again = prepare_corpus(folder, tokenizer, cache_dir=tmp_path / "ours", num_threads=1)
    assert [again.tokens(number).tolist() for number in range(len(again))] == expected
    assert theirs.folder.name in "".join(capsys.readouterr().err.split())


def test_a_corpus_is_known_by_a_link_and_as_the_folder_at_hand(
    folder, tokenizer, tmp_path, monkeypatch
):
    corpus = prepare(folder, tokenizer, tmp_path / "shards")
    (tmp_path / "link").symlink_to(corpus.folder)
    monkeypatch.chdir(corpus.folder)
    for path in (Path(), tmp_path / "link"):
        opened = PreparedCorpus(path, verify=True)
        assert opened.tokens(0).tolist() == corpus.tokens(0).tolist()


def test_a_corpus_of_several_shards_is_opened_as_the_folder_at_hand(
    folder, tokenizer, tmp_path, monkeypatch
):
    monkeypatch.setattr(shards, "_SHARD_BYTES", 2000)
    corpus = prepare(folder, tokenizer, tmp_path / "shards")
    assert len(list((tmp_path / "shards").glob("*/manifest.json"))) > 2
    monkeypatch.chdir(corpus.folder)
    assert len(PreparedCorpus(Path(), verify=True)) == len(corpus)


def test_an_unchanged_corpus_is_found_without_reading_its_text(
    folder: Path, tokenizer, tmp_path, monkeypatch
):
    corpus = prepare(folder, tokenizer, tmp_path / "cache")

    then = time.time_ns() - 60 * 10**9
    for path in folder.iterdir():
        os.utime(path, ns=(then, then))
    prepare(folder, tokenizer, tmp_path / "cache")
    usual = Path.open

    def refused(path, *args, **options):
        assert path.parent != folder
        return usual(path, *args, **options)

    monkeypatch.setattr(Path, "open", refused)
    assert prepare(folder, tokenizer, tmp_path / "cache").folder == corpus.folder
