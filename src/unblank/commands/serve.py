"""`unblank serve`: models over HTTP, for any client."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from unblank.commands.parsing import parse_settings
from unblank.settings.choices import DType
from unblank.settings.marks import PathText, Positional
from unblank.settings.ranges import Duration, NotNegative, OneOrMore, Positive, check_values
from unblank.untrusted.plain_text import read_plain_text

__all__ = ["ServeSettings", "parse", "run"]

_API_KEY = "UNBLANK_API_KEY"
"""Environment variable of the key that clients must send."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServeSettings:
    """Serve models over HTTP: fill, score, generate, classify, and complete for OpenAI's clients.

    unblank serve runs/mine --port 8000
    unblank serve runs/mine runs/translator=de-en

    The address is a page for people; /docs there says what programs can ask.
    """

    models: OneOrMore[Positional[tuple[PathText, ...]]]
    """Model folders, each with =NAME if it is not to be called by the folder's name."""
    task: tuple[PathText, ...] = ()
    """Task files (YAML) that clients may name besides the library's, each with =NAME if the task is
    not to be called by the file's name; also that of a tuned model's own task, if it has moved."""
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 for all of this machine."""
    port: NotNegative[int] = 8000
    """Port; 0 for any that is free."""
    api_key_file: Path | None = None
    """File with the key that clients must send as a bearer token. Default: the environment variable
    UNBLANK_API_KEY; without both no key is asked for."""
    allow_origin: tuple[str, ...] = ()
    """Origins whose pages may call the server from a browser, such as https://example.org."""
    cache_tokens: Positive[int] = 16384
    """Tokens whose keys and values are held at once, by each model; more texts wait."""
    max_waiting: Positive[int] = 256
    """Texts that may wait; beyond, requests are told to come again (429)."""
    max_body: Positive[int] = 1_000_000
    """Largest body of a request in bytes."""
    time_limit: Duration[Positive[float]] = 120.0
    """Seconds that a request may take, waiting included."""
    grace: Duration[NotNegative[float]] = 30.0
    """Seconds for what is under way when the server is asked to end."""
    device: str = "auto"
    """auto (a GPU if there is one), cpu or cuda."""
    calibration: bool = True
    """Use what `unblank calibrate` has kept in the models' folders."""
    dtype: DType | None = None
    """Data type of the computation; fp16 is fastest on most CPUs, and there rounds weights only.
    Default: as the models were saved."""

    def __post_init__(self) -> None:
        check_values(self)
        if self.port > 65535:
            raise ValueError(f"port is {self.port}: it must be between 0 and 65535")

    def named_folders(self) -> dict[str, Path]:
        """Return name -> folder.

        Raises:
            ValueError: two models have the same name.
        """
        return _named("models", self.models)

    def named_tasks(self) -> dict[str, Path]:
        """Return name -> task file.

        Raises:
            ValueError: two tasks have the same name.
        """
        return _named("tasks", self.task)

    def api_key(self) -> str | None:
        """Return the key that clients must send; None for none.

        Raises:
            OSError: the file cannot be read.
            ValueError: it is empty.
        """
        if self.api_key_file is None:
            return os.environ.get(_API_KEY) or None
        key = read_plain_text(self.api_key_file).strip()
        if not key:
            raise ValueError(f"{self.api_key_file} is empty: write the key into it")
        return key


def _named(kind: str, given: Sequence[str]) -> dict[str, Path]:
    """Return name -> path of what is given as PATH or PATH=NAME."""
    named: dict[str, Path] = {}
    for one in given:
        path, _, name = one.rpartition("=")
        if not path or Path(one).exists():
            path = one
            name = Path(one).stem if kind == "tasks" else Path(one).resolve().name
        if name in named:
            raise ValueError(
                f"two {kind} are called {name!r}: give one another name, as in {path}=NAME"
            )
        named[name] = Path(path)
    return named


parse = partial(parse_settings, "serve", ServeSettings)


def run(settings: ServeSettings) -> None:
    """Serve until a signal asks for the end.

    Raises:
        ValueError: two models or tasks have the same name, or one cannot be opened.
        FileNotFoundError: as for `unblank.load`.
        OSError: the port is in use.
        ImportError: the packages of the extra `serve` are missing.
    """
    from unblank.extras import require_package

    for package in ("fastapi", "uvicorn", "prometheus_client"):
        require_package(package, "serving")
    from unblank.serving.application import build_application
    from unblank.serving.opening import open_service, open_tasks
    from unblank.serving.server import address_of, listen, serve_until_asked

    folders, task_files = settings.named_folders(), settings.named_tasks()
    api_key = settings.api_key()
    tasks = open_tasks(task_files)
    bound = listen(settings.host, settings.port)  # before the models, which may take long to open
    service = open_service(
        folders,
        tasks,
        device=settings.device,
        dtype=settings.dtype,
        calibration=settings.calibration,
        cache_tokens=settings.cache_tokens,
        max_waiting=settings.max_waiting,
        time_limit=settings.time_limit,
        api_key=api_key,
    )
    app = build_application(
        service, max_body=settings.max_body, allowed_origins=settings.allow_origin
    )
    print(f"serving {', '.join(folders)} on {address_of(bound)} (Ctrl-C ends it)", flush=True)
    serve_until_asked(app, service, bound, settings.grace)
