"""Text at a URL is the same text as in a file, and a server cannot do what a file cannot."""

import gzip
import http.server
import json
import pickle
import sys
import threading
from functools import partial
from pathlib import Path

import fsspec
import pytest

from unblank.data import remote
from unblank.data.files import find_files
from unblank.data.language_sources import open_language_sources
from unblank.data.records import read_records
from unblank.data.remote import data_path
from unblank.data.shards import prepare_corpus
from unblank.data.sources import TextFiles
from unblank.data.text_file_cache import TextFileCache
from unblank.tokenization.train import train_tokenizer

TEXTS = [f"the cat sat on mat {number}" for number in range(30)]
LINES = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS).encode()
FILES = {
    "a.jsonl": LINES,
    "b.jsonl.gz": gzip.compress(LINES),
    "plain": b"a line\nanother\n",
    "deep/c.txt": "caf\u00e9\n".encode(),
    "deep/table.csv": b"text,other\nfirst,1\nsecond,2\n",
    ".hidden.txt": b"hidden",
    "picture.png": b"\x89PNG",
}


@pytest.fixture
def memory():
    """The same files at `memory://corpus`."""
    system = fsspec.filesystem("memory")
    for name, content in FILES.items():
        system.pipe(f"/corpus/{name}", content)
    yield system
    system.rm("/corpus", recursive=True)


@pytest.fixture
def folder(tmp_path):
    for name, content in FILES.items():
        path = tmp_path / "corpus" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "corpus"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def serve(handler):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_port}"


@pytest.fixture
def web(folder):
    server, url = serve(partial(Quiet, directory=str(folder)))
    yield url
    server.shutdown()
    server.server_close()


def texts_of(entry):
    return list(TextFiles(paths=find_files(entry)))


@pytest.mark.filterwarnings("ignore:.*passed over")
@pytest.mark.parametrize(
    "entry", ["", "/a.jsonl", "/b.jsonl.gz", "/plain", "/deep", "/*.jsonl*", "/**/*.csv", "/[ab].*"]
)
def test_files_folders_and_globs_are_those_of_a_folder(memory, folder, entry):
    found, expected = find_files(f"memory://corpus{entry}"), find_files(f"{folder}{entry}")
    assert [str(path).removeprefix("memory://corpus") for path in found] == [
        str(path).removeprefix(str(folder)) for path in expected
    ]
    assert list(TextFiles(paths=found)) == list(TextFiles(paths=expected))


@pytest.mark.parametrize("name", ["a.jsonl", "b.jsonl.gz", "deep/c.txt", "plain"])
def test_a_web_server_without_ranges_is_read_as_a_stream(web, folder, name):
    assert texts_of(f"{web}/{name}") == texts_of(folder / name)
    assert texts_of(f"{web}/{name}?download=true") == texts_of(folder / name)


def test_a_path_that_lost_a_slash_is_a_url_still(memory):
    assert texts_of(Path("memory://corpus/a.jsonl")) == TEXTS
    path = data_path("s3://bucket/deep/a.jsonl.gz")
    assert str(path) == "s3://bucket/deep/a.jsonl.gz" == str(data_path(Path(str(path))))
    assert (path.name, path.suffix) == ("a.jsonl.gz", ".gz")
    assert str(pickle.loads(pickle.dumps(path))) == str(path)
    assert str(path.with_suffix("")) == "s3://bucket/deep/a.jsonl"
    with pytest.raises(TypeError, match="s3://bucket"):
        open(path)  # noqa: SIM115


def test_a_local_file_of_such_a_name_stays_local(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "memory:").mkdir()
    (tmp_path / "memory:" / "a.txt").write_text("local")
    assert texts_of("memory:/a.txt") == ["local"]


def test_a_file_of_several_languages_is_divided(memory, tmp_path):
    memory.pipe("/corpus/pairs.jsonl", b'{"en": "the cat", "de": "die Katze"}\n')
    entry = "memory://corpus/pairs.jsonl:{lang}"
    found = open_language_sources([entry], text_field="text", cache_dir=tmp_path / "cache")
    texts = {one.language: list(one.texts(text_field="text", text_unit="file")) for one in found}
    assert texts == {"de": ["die Katze"], "en": ["the cat"]}


def test_records_of_a_table(memory):
    (path,) = find_files("memory://corpus/deep/table.csv")
    assert list(read_records(path, ["text"])) == [
        ("memory://corpus/deep/table.csv, line 2", {"text": "first", "other": "1"}),
        ("memory://corpus/deep/table.csv, line 3", {"text": "second", "other": "2"}),
    ]


@pytest.mark.parametrize("kind", ["memory", "parquet over ranges"])
def test_parquet_and_arrow_are_read_in_any_order(memory, kind, tmp_path):
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    parquet.write_table(arrow.table({"text": TEXTS}), tmp_path / "a.parquet")
    memory.pipe("/corpus/a.parquet", (tmp_path / "a.parquet").read_bytes())
    assert texts_of("memory://corpus/a.parquet") == TEXTS


@pytest.mark.filterwarnings("ignore:the text is too small")
def test_a_corpus_at_a_url_has_the_name_and_the_ids_of_the_files(memory, folder, tmp_path):
    tokenizer = train_tokenizer(TEXTS, kind="bpe", vocab_size=300, show_progress=False)
    one, other = (
        prepare_corpus(entry, tokenizer, cache_dir=tmp_path / name, show_progress=False)
        for name, entry in (("one", f"{folder}/*.jsonl*"), ("other", "memory://corpus/*.jsonl*"))
    )
    assert one.folder.name == other.folder.name
    assert one.report == other.report
    assert (one.tokens(3) == other.tokens(3)).all()


def test_a_changed_file_is_read_again_and_one_that_tells_nothing_always(memory, tmp_path, web):
    memory.pipe("/corpus/a.jsonl", b"before")
    path = data_path("memory://corpus/a.jsonl")
    first = TextFileCache(tmp_path).digest(path)
    memory.pipe("/corpus/a.jsonl", b"behind")
    assert TextFileCache(tmp_path).digest(path) != first

    server, url = serve(NoFacts)
    try:
        known = TextFileCache(tmp_path)
        known.digest(data_path(f"{url}/a.txt"))
        known.save()
        assert not TextFileCache(tmp_path).has_hash(data_path(f"{url}/a.txt"))
    finally:
        server.shutdown()
        server.server_close()


class NoFacts(http.server.BaseHTTPRequestHandler):
    """Sends a text, and nothing that tells whether it changes."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"text\n")

    def do_HEAD(self):
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()

    def log_message(self, *args):
        pass


class Endless(NoFacts):
    """Sends one line without an end."""

    def do_HEAD(self):
        self.send_response(200)
        self.end_headers()

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"x" * 2**16)
        except OSError:
            pass


class Cut(NoFacts):
    """Sends less than it has promised."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "500")
        self.end_headers()
        self.wfile.write(b"text\n")


@pytest.mark.parametrize(("handler", "message"), [(Endless, "more than"), (Cut, "cannot be read")])
def test_what_a_server_sends_is_bounded_like_a_file(handler, message, monkeypatch):
    monkeypatch.setattr("unblank.data.unpacking.LONGEST", 2**20)
    server, url = serve(handler)
    try:
        with pytest.raises((ValueError, OSError), match=message) as caught:
            texts_of(f"{url}/a.txt")
        assert f"{url}/a.txt" in str(caught.value)
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        ("{web}/absent.txt", FileNotFoundError),
        ("http://127.0.0.1:9/a.txt", OSError),
        ("memory://corpus/absent.txt", FileNotFoundError),
        ("memory://corpus/*.absent", FileNotFoundError),
        ("{web}/*.jsonl", ValueError),
        ("strange://bucket/a.txt", OSError),
        ("zip://a.txt::memory://corpus/a.zip", ValueError),
        ("memory://corpus/picture.png", ValueError),
    ],
)
def test_what_cannot_be_read_is_one_message_with_the_url(memory, web, entry, error):
    url = entry.format(web=web)
    with pytest.raises(error) as caught:
        find_files(url)
    assert url in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_package_that_is_missing_is_named(monkeypatch):
    def lacks(name, purpose):
        raise ImportError(f"{purpose} needs the package {name}")

    monkeypatch.setattr(remote, "optional_package", lacks)
    with pytest.raises(ImportError, match=r"s3://bucket/a\.txt needs the package fsspec"):
        find_files("s3://bucket/a.txt")


class Failing(http.server.BaseHTTPRequestHandler):
    """Redirects to a file of the machine, redirects for ever, or has an error of its own."""

    def do_GET(self):
        targets = {"/file.txt": "file:///etc/hostname", "/loop.txt": "/loop.txt"}
        target = targets.get(self.path)
        self.send_response(302 if target else 500)
        if target:
            self.send_header("Location", target)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *args):
        pass


@pytest.mark.parametrize("name", ["file", "loop", "error"])
def test_a_server_that_fails_is_not_taken_for_a_file_that_is_missing(name):
    server, url = serve(Failing)
    try:
        with pytest.raises(OSError, match=r"cannot be read: ") as raised:
            texts_of(f"{url}/{name}.txt")
    finally:
        server.shutdown()
        server.server_close()
    assert not isinstance(raised.value, FileNotFoundError)


@pytest.mark.parametrize(
    ("url", "package", "extra"),
    [("s3://bucket/a.jsonl", "s3fs", "s3"), ("gs://bucket/a.jsonl", "gcsfs", "gs")],
)
def test_a_service_without_its_package_names_the_extra(url, package, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    expected = rf"{url} needs the package {package}: pip install 'unblank\[{extra}\]'"
    with pytest.raises(ImportError, match=expected):
        find_files(url)


def test_files_of_the_hub_that_are_not_there_are_named(monkeypatch):
    from huggingface_hub import HfFileSystem

    monkeypatch.setattr(HfFileSystem, "exists", lambda *_, **__: False)
    with pytest.raises(FileNotFoundError, match=r"hf://datasets/some/name/a\.jsonl"):
        find_files("hf://datasets/some/name/a.jsonl")
