"""Prepared corpora hold exactly the tokens of their documents, whatever happens on the way."""

import io
import json
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from unblank.data import bulk_encoding, shard_files, shards
from unblank.data.files import find_files
from unblank.data.prepared import PreparedCorpus
from unblank.data.report import documents_table
from unblank.data.shards import prepare_corpus
from unblank.data.sources import TextFiles
from unblank.tokenization.encoding import encode_texts
from unblank.tokenization.train import train_tokenizer

pytestmark = pytest.mark.filterwarnings("ignore:the text is too small")

WORDS = ["the", "cat", "sat", "on", "a", "mat.", "[MASK]", "<|endoftext|>", "\u00e9crit", "text!\n"]
TEXTS = [" ".join(WORDS[(i * j) % len(WORDS)] for j in range(i % 40 + 2)) for i in range(200)]


@pytest.fixture(scope="module", params=["wordpiece", "bpe", "unigram"])
def tokenizer(request):
    return train_tokenizer(
        [*TEXTS, "abc xyz"], kind=request.param, vocab_size=600, show_progress=False
    )


@pytest.fixture(scope="module")
def bpe():
    return train_tokenizer(TEXTS, kind="bpe", vocab_size=300, show_progress=False)


def corpus_file(folder: Path, texts: list[str], name: str = "corpus.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


def folders_in(cache: Path) -> list[str]:
    """Return the names of the folders of a cache, hidden ones too, without what it remembers."""
    return sorted(entry.name for entry in cache.iterdir() if entry.is_dir())


def prepared(path, tokenizer, folder, **settings) -> PreparedCorpus:
    return prepare_corpus(
        path, tokenizer, cache_dir=folder / "cache", show_progress=False, **settings
    )


@pytest.mark.parametrize("num_threads", [1, 3])
def test_every_document_holds_the_tokens_of_its_text_in_order(
    tokenizer, tmp_path, monkeypatch, num_threads
):
    monkeypatch.setattr(bulk_encoding, "_BATCH_CHARACTERS", 500)
    path = corpus_file(tmp_path, TEXTS)
    corpus = prepared(path, tokenizer, tmp_path, num_threads=num_threads)
    expected = [ids for ids in encode_texts(tokenizer, TEXTS) if len(ids) > 1]
    assert len(corpus) == len(expected)
    for index, ids in enumerate(expected):
        assert corpus.tokens(index).tolist() == ids
        assert corpus.document_length(index) == len(ids)
    assert corpus.num_tokens == sum(map(len, expected)) == corpus.lengths.sum()
    assert corpus.tokens(3, 1, 3).tolist() == expected[3][1:3]
    assert corpus.tokens(3).dtype == np.int64


def test_long_documents_cut_in_pieces_give_the_same_tokens(tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(bulk_encoding, "_PIECE_CHARACTERS", 7)
    text = "  ".join(TEXTS) + "\n\n\u4e00\u4e8c, a\u0301 b\r\n\ta .b\u00a0c 's x\n" * 3
    assert len(list(bulk_encoding._pieces(text))) > 100
    assert "".join(bulk_encoding._pieces(text)) == text
    corpus = prepared(corpus_file(tmp_path, [text]), tokenizer, tmp_path)
    assert corpus.tokens(0).tolist() == encode_texts(tokenizer, [text])[0]


def test_a_long_document_is_encoded_a_few_pieces_at_a_time(tokenizer, monkeypatch):
    """All encodings of it would take twenty times its memory."""
    monkeypatch.setattr(bulk_encoding, "_PIECE_CHARACTERS", 7)
    core, at_once = shards.text_encoder(tokenizer), []

    def encode(pieces, **options):
        at_once.append(len(pieces))
        return core.encode_batch_fast(pieces, **options)

    text = "a few words " * 200
    counting = SimpleNamespace(encode_batch_fast=encode)
    (ids,) = bulk_encoding._encode_batch(counting, [text], np.dtype(np.int64))
    assert ids.tolist() == encode_texts(tokenizer, [text])[0]
    assert max(at_once) <= 10 < sum(at_once)


def test_real_text_cut_in_pieces_gives_the_same_tokens(tokenizer, data_dir, monkeypatch):
    monkeypatch.setattr(bulk_encoding, "_PIECE_CHARACTERS", 100)
    core = shards.text_encoder(tokenizer)
    files = find_files(data_dir / "text_en" / "novels.validation.jsonl.gz")
    for text, _ in zip(TextFiles(paths=files), range(5), strict=False):
        (ids,) = bulk_encoding._encode_batch(core, [text], np.dtype(np.int64))
        assert len(list(bulk_encoding._pieces(text))) > len(text) / 150
        assert ids.tolist() == encode_texts(tokenizer, [text])[0]


def test_wide_ids_are_stored_whole(bpe, tmp_path, monkeypatch):
    path = corpus_file(tmp_path, TEXTS)
    narrow = prepared(path, bpe, tmp_path / "narrow")
    core = shards.text_encoder(bpe)
    wide_core = type("Wide", (), {"__getattr__": lambda self, name: getattr(core, name)})()
    wide_core.get_vocab = lambda: {"far": 70_000}
    monkeypatch.setattr(shards, "text_encoder", lambda tokenizer: wide_core)
    wide = prepared(path, bpe, tmp_path / "wide")
    sizes = [(corpus.folder / "tokens.bin").stat().st_size for corpus in (narrow, wide)]
    assert sizes[1] == 2 * sizes[0]
    assert all((wide.tokens(i) == narrow.tokens(i)).all() for i in range(len(wide)))


def test_a_second_run_reuses_the_folder_without_tokenising(bpe, tmp_path, monkeypatch):
    path = corpus_file(tmp_path, TEXTS)
    first = prepared(path, bpe, tmp_path)
    monkeypatch.setattr(shards, "write_shard", None)
    second = prepared(path, bpe, tmp_path)
    assert second.folder == first.folder
    assert second.report == first.report


def test_content_tokenizer_and_settings_each_make_another_corpus(bpe, tmp_path):
    path = corpus_file(tmp_path, TEXTS)
    other_tokenizer = train_tokenizer(TEXTS, kind="bpe", vocab_size=290, show_progress=False)
    copy = corpus_file(tmp_path, TEXTS, "copy.jsonl")
    same = {prepared(source, bpe, tmp_path).folder for source in (path, copy)}
    assert len(same) == 1
    others = {
        prepared(path, other_tokenizer, tmp_path).folder,
        prepared(path, bpe, tmp_path, min_tokens=5).folder,
        prepared([path, copy], bpe, tmp_path).folder,
        prepared(corpus_file(tmp_path, [*TEXTS, "more text"]), bpe, tmp_path).folder,
    }
    assert len(others | same) == 5


def test_the_report_counts_every_document(bpe, tmp_path):
    texts = ["a cat sat on the mat " * 20, "", "  \n", "a", "c", "on a mat"]
    corpus = prepared(corpus_file(tmp_path, texts), bpe, tmp_path, min_tokens=3)
    report = corpus.report
    counts = (report.num_read, report.num_empty, report.num_short, report.num_kept)
    assert counts == (6, 2, 2, 2)
    output = io.StringIO()
    table = documents_table([("pets", [corpus]), ("more pets", [corpus])], max_length=50)
    Console(file=output, width=100).print(table)
    lines = [line for line in output.getvalue().splitlines() if line.strip()]
    _, headings, _, first, second, *caption = lines
    assert " ".join(headings.split()) == "source read empty short kept of these cut tokens"
    assert first.split() == f"pets 6 2 2 2 1 {report.num_tokens}".split()
    assert second.split() == f"more {first}".split()
    assert "under 3 tokens; cut = over 48 tokens" in " ".join(" ".join(caption).split())


@pytest.mark.parametrize(
    ("texts", "message"),
    [([], "0 read"), (["", " "], "2 read, 2 without text"), (["a"], "1 with fewer than 2 tokens")],
)
def test_a_corpus_with_nothing_to_train_on_is_refused(bpe, tmp_path, texts, message):
    with pytest.raises(ValueError, match=message):
        prepared(corpus_file(tmp_path, texts), bpe, tmp_path)
    assert folders_in(tmp_path / "cache") == []


def test_tokens_outside_a_document_are_refused(bpe, tmp_path):
    corpus = prepared(corpus_file(tmp_path, TEXTS), bpe, tmp_path)
    length = corpus.document_length(0)
    for bad in [(-1,), (len(corpus),), (0, 0, length + 1), (0, -1, 1), (0, 2, 1)]:
        with pytest.raises(IndexError):
            corpus.tokens(*bad)


def test_a_corpus_pickles_as_its_folder(bpe, tmp_path):
    corpus = prepared(corpus_file(tmp_path, TEXTS * 20), bpe, tmp_path)
    content = pickle.dumps(corpus)
    assert len(content) < 1000
    assert (pickle.loads(content).tokens(5) == corpus.tokens(5)).all()


@pytest.mark.parametrize("name", ["tokens.bin", "offsets.bin", "manifest.json"])
@pytest.mark.parametrize("harm", ["cut", "gone"])
def test_a_damaged_file_is_named_and_prepared_again(bpe, tmp_path, capsys, name, harm):
    path = corpus_file(tmp_path, TEXTS)
    corpus = prepared(path, bpe, tmp_path)
    expected = [corpus.tokens(i).tolist() for i in range(len(corpus))]
    file = corpus.folder / name
    file.write_bytes(file.read_bytes()[:-3]) if harm == "cut" else file.unlink()
    with pytest.raises(ValueError, match=name):
        PreparedCorpus(corpus.folder)
    again = prepare_corpus(path, bpe, cache_dir=tmp_path / "cache")
    assert "Preparing this corpus again" in capsys.readouterr().err
    assert [again.tokens(i).tolist() for i in range(len(again))] == expected
    assert folders_in(tmp_path / "cache") == [again.folder.name]


def test_altered_offsets_are_noticed(bpe, tmp_path):
    corpus = prepared(corpus_file(tmp_path, TEXTS), bpe, tmp_path)
    file = corpus.folder / "offsets.bin"
    content = bytearray(file.read_bytes())
    content[8] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"offsets\.bin.*checksum"):
        PreparedCorpus(corpus.folder)


def test_a_full_disk_leaves_nothing_behind(bpe, tmp_path, monkeypatch):
    def fail(file):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shard_files, "_flush_to_disk", fail)
    with pytest.raises(OSError, match="No space left"):
        prepared(corpus_file(tmp_path, TEXTS), bpe, tmp_path)
    assert folders_in(tmp_path / "cache") == []


def test_who_finishes_second_uses_the_folder_of_the_first(bpe, tmp_path, monkeypatch):
    path = corpus_file(tmp_path, TEXTS)
    build = shards.write_shard

    def overtaken(*args):
        monkeypatch.setattr(shards, "write_shard", build)
        winner.append(prepared(path, bpe, tmp_path))
        build(*args)

    winner: list[PreparedCorpus] = []
    monkeypatch.setattr(shards, "write_shard", overtaken)
    loser = prepared(path, bpe, tmp_path)
    assert loser.folder == winner[0].folder
    assert folders_in(tmp_path / "cache") == [loser.folder.name]


SCRIPT = """
import sys, time
from types import SimpleNamespace
from tokenizers import Tokenizer
from unblank.data import bulk_encoding, shards
if sys.argv[4] == "slow":
    encode = bulk_encoding._encode_batch
    bulk_encoding._BATCH_CHARACTERS = 100
    bulk_encoding._encode_batch = lambda *args: time.sleep(0.3) or encode(*args)
tokenizer = SimpleNamespace(backend_tokenizer=Tokenizer.from_file(sys.argv[2]))
corpus = shards.prepare_corpus(
    sys.argv[1], tokenizer, cache_dir=sys.argv[3], num_threads=1, show_progress=False
)
print(corpus.folder.name, corpus.num_tokens)
"""


def start(tmp_path: Path, pace: str) -> subprocess.Popen:
    args = [tmp_path / "corpus.jsonl", tmp_path / "tokenizer.json", tmp_path / "cache", pace]
    command = [sys.executable, "-c", SCRIPT, *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_processes_at_once_share_one_result(bpe, tmp_path):
    corpus_file(tmp_path, TEXTS)
    bpe.backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
    processes = [start(tmp_path, "fast") for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert outputs[0] == outputs[1]
    (name,) = folders_in(tmp_path / "cache")
    corpus = PreparedCorpus(tmp_path / "cache" / name)
    assert outputs[0].split() == [name, str(corpus.num_tokens)]


def test_what_a_killed_run_left_is_ignored_and_cleaned_up(bpe, tmp_path):
    path = corpus_file(tmp_path, TEXTS)
    bpe.backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
    process = start(tmp_path, "slow")
    deadline = time.monotonic() + 60
    while (
        not list(tmp_path.glob("cache/.*.unfinished-*/tokens.bin")) and time.monotonic() < deadline
    ):
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    assert len(folders_in(tmp_path / "cache")) == 1
    corpus = prepared(path, bpe, tmp_path)
    expected = [ids for ids in encode_texts(bpe, TEXTS) if len(ids) > 1]
    assert [corpus.tokens(i).tolist() for i in range(len(corpus))] == expected
    assert folders_in(tmp_path / "cache") == [corpus.folder.name]
