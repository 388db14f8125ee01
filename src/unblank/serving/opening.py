"""From folders to what is served: the models are opened, each with an engine."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from unblank.adapters.calibration import calibration_of
from unblank.api import Unblank
from unblank.families.loading import require_folder
from unblank.families.table import family_of_model
from unblank.finetuning.labels.tuned import LabelModel, has_label_head, open_label_model, tuned_on
from unblank.prompting.task import ClozeTask
from unblank.prompting.task_files import load_task, task_names
from unblank.serving.engine import Engine
from unblank.serving.served_model import ServedModel
from unblank.serving.service import Service
from unblank.terminal_text import print_message

__all__ = ["build_service", "open_service", "open_tasks"]


def build_service(
    models: Mapping[str, Unblank],
    *,
    cache_tokens: int = 16384,
    max_waiting: int = 256,
    time_limit: float = 120.0,
    api_key: str | None = None,
    tasks: Mapping[str, ClozeTask] | None = None,
    tuned: Mapping[str, LabelModel] | None = None,
    own_tasks: Mapping[str, ClozeTask] | None = None,
) -> Service:
    """Return models that are ready to be served, each with an engine whose thread runs.

    Args:
        models: by their names.
        cache_tokens: most tokens whose keys and values an engine holds at once.
        max_waiting: most texts that wait for an engine.
        time_limit: seconds that a request may take.
        api_key: that clients must send; None for none.
        tasks: that clients may name besides the library's.
        tuned: how models were tuned on tasks with labels, by their names.
        own_tasks: these tasks, by the names of the models.

    Raises:
        ValueError: a model that neither writes nor classifies, or a task that no model can be
            asked.
    """
    labels, own_tasks = tuned or {}, own_tasks or {}
    heads = {name: one.head.task for name, one in labels.items() if one.head is not None}
    for name, unblank in models.items():
        if name not in heads and family_of_model(unblank.model).stopping is None:
            raise ValueError(f"{name} writes no text: serve a GLM, DeltaLM, GanLM or a classifier")
    for task in (tasks or {}).values():
        if not any(head.content_hash == task.content_hash for head in heads.values()):
            task.pattern()  # it must be possible to ask it in a blank
    served = {
        name: ServedModel(
            name,
            unblank,
            Engine(cache_tokens=cache_tokens, max_waiting=max_waiting),
            labels.get(name),
        )
        for name, unblank in models.items()
    }
    return Service(
        models=served,
        tasks=tasks or {},
        own_tasks={**own_tasks, **heads},
        time_limit=time_limit,
        api_key=api_key,
    )


def open_tasks(files: Mapping[str, Path]) -> dict[str, ClozeTask]:
    """Return the tasks of some files by their names.

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: a file has a mistake, or a task of the library has its name.
    """
    tasks = {}
    for name, path in files.items():
        if name in task_names():
            raise ValueError(
                f"{path}: a task of the library is called {name!r}, too: give yours another name, "
                f"as in {path}=NAME"
            )
        tasks[name] = replace(load_task(path), name=name)
    return tasks


def _own_task(folder: Path, tasks: Mapping[str, ClozeTask]) -> ClozeTask | None:
    """Return the task with labels that a folder was tuned on; None if there is none.

    Raises:
        FileNotFoundError: no such folder; also, if only a classifier answers the task, its file.
        ValueError: a classifier that does not say what it was tuned on.
    """
    require_folder(folder)
    name, is_classifier = tuned_on(folder), has_label_head(folder)
    if name is None:
        if is_classifier:
            raise ValueError(f"{folder} is a classifier, and its record does not name its task")
        return None
    if (given := tasks.get(Path(name).stem)) is not None:
        return given
    try:
        return load_task(name)
    except FileNotFoundError as error:
        where = (
            f"the file of the task that {folder} was tuned on is not at {name}: give it to the "
            "server as a task"
        )
        if is_classifier:
            raise FileNotFoundError(where) from error
        print_message(f"note: {where}; other tasks can be asked")
        return None


def open_service(
    folders: Mapping[str, Path],
    tasks: Mapping[str, ClozeTask],
    *,
    device: str = "auto",
    dtype: str | None = None,
    calibration: bool = True,
    **limits: Any,
) -> Service:
    """Return the models of some folders, ready to be served.

    Args:
        folders: by the names of the models.
        tasks: that clients may name besides the library's.
        device: as for `unblank.load`.
        dtype: as for `unblank.load`.
        calibration: as for `unblank.load`.
        **limits: of `build_service`.

    Raises:
        FileNotFoundError: as for `unblank.load`; also the file of the task of a classifier.
        ValueError: as for `unblank.load` and `build_service`, or a classifier of an unknown task.
    """
    own = {name: _own_task(folder, tasks) for name, folder in folders.items()}
    tuned = {
        name: open_label_model(folder, own[name], device=device, dtype=dtype)
        for name, folder in folders.items()
    }
    known = {
        name: calibration_of(folder) if calibration else None for name, folder in folders.items()
    }
    return build_service(
        {name: Unblank(one.model, one.tokenizer, known[name]) for name, one in tuned.items()},
        tasks=tasks,
        tuned=tuned,
        own_tasks={name: task for name, task in own.items() if task is not None},
        **limits,
    )
