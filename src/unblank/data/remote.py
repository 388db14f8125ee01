"""Files at a URL, read as a stream: `s3://`, `gs://`, `hf://`, `https://`, and all that fsspec has.

`RemotePath` stands wherever a path of data does, with the same names and endings. What a server
sends is as foreign as any file: it is read piece by piece and bounded like one. Over http there is
no list of files, so there each is named.
"""

import hashlib
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PosixPath
from typing import Any, Self

from unblank.extras import install_command, optional_package

__all__ = ["RemotePath", "data_path", "remote_files", "split_entry"]

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+([^/].*)", re.S)
"""A URL, also with the one slash that `Path` leaves of two."""

_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://[^/:]*(?::\d+(?=/))?")
"""The beginning of a URL, in which colons do not divide an entry."""

_WEB = ("http", "https")
_PATTERN = re.compile(r"[*?\[]")
_SECONDS_TO_CONNECT, _SECONDS_OF_SILENCE = 30, 120

_VERSIONS = ("ETag", "etag", "e_tag", "version_id", "md5Hash", "Content-MD5", "Digest", "sha256",
             "blob_id", "oid")  # fmt: skip
"""Keys under which file systems say which content a file has."""
_TIMES = ("LastModified", "last_modified", "Last-Modified", "mtime", "updated", "created")


@dataclass(frozen=True, slots=True)
class RemoteFacts:
    """What is asked of a file's status, as `os.stat_result` names it."""

    st_size: int
    st_mtime_ns: int
    st_ino: int


class RemotePath(PosixPath):
    """A URL as a path of data.

    Raises:
        ImportError: when it is opened, if the package that reads such URLs is not installed.
        FileNotFoundError: when it is opened, if there is no such file.
        OSError: when it is opened or read, if it cannot be reached; the message has the URL.
    """

    def __str__(self) -> str:
        scheme, *names = self.parts
        return f"{scheme}//{'/'.join(names)}"

    def __fspath__(self) -> str:
        raise TypeError(f"{self} is at a URL: only text and data can be read from there")

    @property
    def name(self) -> str:
        """The last name of the path, without a query that follows it."""
        name = self.parts[-1]
        return re.split("[?#]", name, maxsplit=1)[0] if self.scheme in _WEB else name

    @property
    def scheme(self) -> str:
        """What stands before `://`."""
        return self.parts[0].removesuffix(":").lower()

    def absolute(self) -> Self:
        """Return the path, which is."""
        return self

    def open(self, mode: str = "rb", *_: Any, **options: Any) -> Any:
        """Return the file for reading from its beginning to its end.

        Args:
            mode: only "rb".
            **options: `is_seekable=True` for reading it in any order.
        """
        assert mode == "rb"
        system, key = _system_of(self)
        # A server may be unable to send a part of a file; a stream needs no parts.
        more = {"block_size": 0} if self.scheme in _WEB and not options.get("is_seekable") else {}
        with _naming_url(self):
            return _Stream(self, system.open(key, "rb", **more))

    def stat(self, *_: Any, **__: Any) -> RemoteFacts:  # type: ignore[override]
        """Return the size of the file, and what tells whether it has changed."""
        system, key = _system_of(self)
        with _naming_url(self):
            info = system.info(key)
        version = next((str(info[name]) for name in _VERSIONS if info.get(name)), None)
        moment = next((info[name] for name in _TIMES if info.get(name)), None)
        if version is None and moment is None:
            # Nothing tells, so it is never taken for unchanged.
            return RemoteFacts(int(info.get("size") or 0), time.time_ns(), 0)
        changed = 0
        if version is None and isinstance(moment, datetime):
            changed = int(moment.timestamp() * 10**9)
        return RemoteFacts(int(info.get("size") or 0), changed, _number_of(f"{version}|{moment}"))


def data_path(entry: str | Path) -> Path:
    """Return an entry as a path, a URL as a `RemotePath`.

    Raises:
        ValueError: several file systems one on another (`::`), which are not followed.

    Example:
        >>> str(data_path("s3://bucket/a.jsonl")), data_path("corpus/a.jsonl").suffix
        ('s3://bucket/a.jsonl', '.jsonl')
    """
    if isinstance(entry, RemotePath):
        return entry
    text = str(entry)
    match = _URL.fullmatch(text)
    if match is None or Path(text).exists():
        return Path(entry)
    if match[1].lower() in ("file", "local"):
        return Path("/" + match[2])
    if "::" in text:
        raise ValueError(f"{text}: a URL is of one file system; leave out what follows ::")
    return RemotePath(f"{match[1]}://{match[2]}")


def split_entry(entry: str) -> list[str]:
    """Return the parts of an entry between colons, except those that belong to a URL.

    Example:
        >>> split_entry("https://host:80/a.tsv:1:2")
        ['https://host:80/a.tsv', '1', '2']
    """
    kept = _ORIGIN.sub(lambda match: match[0].replace(":", "\0"), entry)
    return [part.replace("\0", ":") for part in kept.split(":")]


def remote_files(path: RemotePath) -> list[tuple[RemotePath, bool]]:
    """Return the files that a URL stands for, and whether each was named or matched.

    Those below a folder were not. Patterns are those of `glob`; `**` crosses folders.

    Raises:
        FileNotFoundError: there is none.
        ValueError: a pattern over http, which has no list of files.
        OSError, ImportError: as for `RemotePath`.
    """
    if path.scheme in _WEB:
        if "*" in str(path):
            raise ValueError(f"{path}: over {path.scheme} there is no list of files: name each")
        path.stat()
        return [(path, True)]
    system, key = _system_of(path)
    with _naming_url(path):
        is_there = system.exists(key)
        matched = [key] if is_there else []
        if not is_there and _PATTERN.search(key):
            matched = sorted(system.glob(key))
        found: list[tuple[RemotePath, bool]] = []
        for one in matched:
            is_file = system.isfile(one)
            names = [one] if is_file else sorted(system.find(one))
            found += [(RemotePath(system.unstrip_protocol(name)), is_file) for name in names]
    if not found:
        raise FileNotFoundError(f"no file matches {path}")
    return found


class _Stream:
    """A file that is being read; an error of it has its URL."""

    def __init__(self, path: RemotePath, raw: Any) -> None:
        self._path = path
        self._raw = raw

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def closed(self) -> bool:
        return bool(self._raw.closed)

    def read(self, size: int = -1) -> bytes:
        with _naming_url(self._path):
            return bytes(self._raw.read(size))

    def tell(self) -> int:
        return int(self._raw.tell())

    def seek(self, offset: int, whence: int = 0) -> int:
        with _naming_url(self._path):
            return int(self._raw.seek(offset, whence))

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return bool(self._raw.seekable())

    def close(self) -> None:
        self._raw.close()


def _system_of(path: RemotePath) -> tuple[Any, str]:
    """Return the file system of a URL, and its name of the file."""
    fsspec = optional_package("fsspec", f"reading {path}")
    options: dict[str, Any] = {}
    if path.scheme in _WEB:
        aiohttp = optional_package("aiohttp", f"reading {path}")
        # Of a large file only the silence is bounded, not the time that it takes.
        limit = aiohttp.ClientTimeout(
            total=None, sock_connect=_SECONDS_TO_CONNECT, sock_read=_SECONDS_OF_SILENCE
        )
        options["client_kwargs"] = {"timeout": limit}
    with _naming_url(path):
        system, key = fsspec.core.url_to_fs(str(path), **options)
    return system, str(key)


@contextmanager
def _naming_url(path: RemotePath) -> Iterator[None]:
    """Name the URL in an error of the block; every library raises its own kinds."""
    try:
        yield
    except FileNotFoundError as error:
        # Over http fsspec says so of every failure, with what it was as the cause.
        cause = error.__cause__ if path.scheme in _WEB else None
        if cause is not None and getattr(cause, "status", None) not in (404, 410):
            said = f"{cause}" or type(cause).__name__
            raise OSError(f"{path} cannot be read: {said}") from error
        raise FileNotFoundError(f"no file matches {path}") from error
    except ImportError as error:
        package = _package_of(path.scheme)
        raise ImportError(
            f"reading {path} needs the package {package}: {install_command(package)}"
        ) from error
    except MemoryError:
        raise
    except Exception as error:
        said = f"{error}" or type(error).__name__
        raise OSError(f"{path} cannot be read: {said}") from error


def _package_of(scheme: str) -> str:
    """Return the package that reads URLs of a service, as fsspec has it."""
    from fsspec.registry import known_implementations

    return str(known_implementations[scheme]["class"].partition(".")[0])


def _number_of(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest())
