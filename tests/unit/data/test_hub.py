"""`hf://` reads what a server that answers as the Hugging Face Hub does has."""

import hashlib
import http.server
import json
import threading
from urllib.parse import parse_qs, unquote, urlparse

import fsspec
import pytest

from unblank.data.files import find_files
from unblank.data.remote import data_path
from unblank.data.sources import TextFiles
from unblank.data.text_file_cache import TextFileCache

pytest.importorskip("huggingface_hub")

LINES = "".join(json.dumps({"text": f"line {number}"}) + "\n" for number in range(500)).encode()
FILES = {
    "a.jsonl": LINES,
    "deep/b.jsonl": LINES[: LINES.index(b"line 75") - 10],
    "deep/c d.txt": "caf\u00e9\n".encode(),
}
REPOSITORY = "somebody/corpus"


class Hub(http.server.BaseHTTPRequestHandler):
    """The parts of the Hub's interface that reading a public data set takes."""

    files: dict[str, bytes]
    asked: list[str]

    def log_message(self, *args):
        pass

    def do_GET(self):
        place = unquote(urlparse(self.path).path)
        self.asked.append(place)
        api, files = f"/api/datasets/{REPOSITORY}", f"/datasets/{REPOSITORY}/resolve/main/"
        if place in (api, f"{api}/revision/main"):
            self.send({"id": REPOSITORY, "sha": "0" * 40, "siblings": [], "tags": []})
        elif place.startswith(f"{api}/tree/main"):
            folder = place.removeprefix(f"{api}/tree/main").strip("/")
            is_deep = (
                parse_qs(urlparse(self.path).query).get("recursive", [""])[0].lower() == "true"
            )
            self.send(list(self.entries(folder, is_deep)))
        elif place.removeprefix(files) in self.files:
            self.send_file(self.files[place.removeprefix(files)])
        else:
            self.send({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})

    def entries(self, folder, is_deep):
        """Yield the files of a folder, and its folders."""
        folders = set()
        for name, content in self.files.items():
            if folder and not name.startswith(f"{folder}/"):
                continue
            rest = name.removeprefix(f"{folder}/" if folder else "")
            if "/" in rest:
                folders.add(name.removesuffix(rest) + rest.partition("/")[0])
                if not is_deep:
                    continue
            oid = hashlib.sha1(content).hexdigest()
            yield {"type": "file", "path": name, "size": len(content), "oid": oid}
        for name in sorted(folders):
            yield {"type": "directory", "path": name, "size": 0, "oid": "0" * 40}

    def send(self, answer, status=200, headers=None):
        body = json.dumps(answer).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_file(self, content):
        first, last = 0, len(content) - 1
        if wanted := self.headers.get("Range"):
            start, _, end = wanted.removeprefix("bytes=").partition("-")
            first, last = int(start), min(int(end or last), last)
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.send_header("Content-Length", str(last - first + 1))
        self.end_headers()
        self.wfile.write(content[first : last + 1])


@pytest.fixture
def hub(monkeypatch):
    from huggingface_hub import constants

    kind = type("OneHub", (Hub,), {"files": dict(FILES), "asked": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    endpoint = {"endpoint": f"http://127.0.0.1:{server.server_port}"}
    monkeypatch.setitem(fsspec.config.conf, "hf", endpoint)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield kind
    server.shutdown()
    server.server_close()


def texts_of(entry):
    return list(TextFiles(paths=find_files(entry)))


ROOT = f"hf://datasets/{REPOSITORY}"


@pytest.mark.parametrize(
    ("entry", "count"),
    [("a.jsonl", 500), ("*.jsonl", 500), ("**/*.jsonl", 575), ("deep/c d.txt", 1)],
)
def test_files_and_globs_of_the_hub_are_read(hub, entry, count):
    texts = texts_of(f"{ROOT}/{entry}")
    assert len(texts) == count
    assert texts[0] in ("line 0", "caf\u00e9\n")


def test_a_folder_of_the_hub_is_its_files(hub):
    assert sorted(texts_of(f"{ROOT}/deep")) == sorted(
        ["caf\u00e9\n", *texts_of(f"{ROOT}/deep/b.jsonl")]
    )


def test_an_unchanged_file_of_the_hub_is_not_read_again(hub, tmp_path):
    path = data_path(f"{ROOT}/a.jsonl")
    known = TextFileCache(tmp_path)
    found = known.digest(path)
    known.save()
    assert any("/resolve/" in place for place in hub.asked)
    hub.asked.clear()
    assert TextFileCache(tmp_path).digest(path) == found
    assert not any("/resolve/" in place for place in hub.asked)


@pytest.mark.parametrize("entry", [f"{ROOT}/missing.jsonl", "hf://datasets/nobody/none/a.jsonl"])
def test_what_the_hub_does_not_have_is_named(hub, entry):
    with pytest.raises(FileNotFoundError, match=entry):
        find_files(entry)


def test_a_hub_that_cannot_be_reached_is_named(monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setitem(fsspec.config.conf, "hf", {"endpoint": "http://127.0.0.1:9"})
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(OSError, match=f"{ROOT}/a.jsonl cannot be read"):
        find_files(f"{ROOT}/a.jsonl")
