"""From folders to a server that runs: the models are opened, each with an engine."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from unblank.api import Unblank, load
from unblank.families.table import family_of_model
from unblank.prompting.task import ClozeTask
from unblank.prompting.task_files import load_task, task_names
from unblank.serving.application import build_application
from unblank.serving.engine import Engine
from unblank.serving.served_model import ServedModel
from unblank.serving.server import address_of, listen, serve_until_asked
from unblank.serving.service import Service

__all__ = ["build_service", "serve_models"]


def build_service(
    models: Mapping[str, Unblank],
    *,
    cache_tokens: int = 16384,
    max_waiting: int = 256,
    time_limit: float = 120.0,
    api_key: str | None = None,
    tasks: Mapping[str, ClozeTask] | None = None,
) -> Service:
    """Return models that are ready to be served, each with an engine whose thread runs.

    Args:
        models: by their names.
        cache_tokens: most tokens whose keys and values an engine holds at once.
        max_waiting: most texts that wait for an engine.
        time_limit: seconds that a request may take.
        api_key: that clients must send; None for none.
        tasks: that clients may name besides the library's.

    Raises:
        ValueError: a model that writes nothing.
    """
    for name, unblank in models.items():
        if family_of_model(unblank.model).stopping is None:
            raise ValueError(f"{name} writes no text: serve a GLM, DeltaLM or GanLM")
    served = {
        name: ServedModel(name, unblank, Engine(cache_tokens=cache_tokens, max_waiting=max_waiting))
        for name, unblank in models.items()
    }
    return Service(models=served, tasks=tasks or {}, time_limit=time_limit, api_key=api_key)


def open_tasks(files: Mapping[str, Path]) -> dict[str, ClozeTask]:
    """Return the tasks of some files by their names.

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: a file has a mistake, only a classifier answers its task, or a task of the
            library has its name.
    """
    tasks = {}
    for name, path in files.items():
        if name in task_names():
            raise ValueError(
                f"{path}: a task of the library is called {name!r}, too: give yours another name, "
                f"as in {path}=NAME"
            )
        task = load_task(path)
        task.pattern()  # a server asks in blanks
        tasks[name] = task
    return tasks


def serve_models(
    folders: Mapping[str, Path],
    task_files: Mapping[str, Path],
    *,
    host: str,
    port: int,
    api_key: str | None,
    allowed_origins: Sequence[str],
    cache_tokens: int,
    max_waiting: int,
    max_body: int,
    time_limit: float,
    grace: float,
    device: str,
    dtype: str | None,
    calibration: bool,
) -> None:
    """Open models and serve them until a signal asks for the end.

    Args:
        folders: by the names of the models.
        task_files: by the names of the tasks that clients may name besides the library's.
        host: to listen on.
        port: 0 for any that is free.
        api_key: as for `build_service`.
        allowed_origins: as for `build_application`.
        cache_tokens: as for `build_service`.
        max_waiting: as for `build_service`.
        max_body: as for `build_application`.
        time_limit: as for `build_service`.
        grace: as for `serve_until_asked`.
        device: as for `unblank.load`.
        dtype: as for `unblank.load`.
        calibration: as for `unblank.load`.

    Raises:
        OSError: the port is in use.
        FileNotFoundError: as for `unblank.load`.
        ValueError: as for `unblank.load` and `open_tasks`, and a model that writes nothing.
    """
    tasks = open_tasks(task_files)
    # Before the models, which may take long to open.
    bound = listen(host, port)
    models = {
        name: load(folder, device=device, dtype=dtype, calibration=calibration)
        for name, folder in folders.items()
    }
    service = build_service(
        models,
        cache_tokens=cache_tokens,
        max_waiting=max_waiting,
        time_limit=time_limit,
        api_key=api_key,
        tasks=tasks,
    )
    app = build_application(service, max_body=max_body, allowed_origins=allowed_origins)
    print(f"serving {', '.join(folders)} on {address_of(bound)} (Ctrl-C ends it)", flush=True)
    serve_until_asked(app, service, bound, grace)
