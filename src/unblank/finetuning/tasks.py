"""The tasks by name; all other names are those of prompt templates and YAML files."""

from difflib import get_close_matches
from importlib import import_module

from unblank.engine.task import FinetuneTask, TaskContext, TaskOpener

__all__ = ["TASKS", "open_task"]

TASKS = {"seq2seq": "unblank.finetuning.pairs.task:open_seq2seq"}
"""Name -> `module:function` of type `TaskOpener`."""

LABELLED = "unblank.finetuning.labels.opening:open_labelled"
"""Opens every task that is a prompt template."""


def open_task(context: TaskContext) -> FinetuneTask:
    """Return the task of a run, ready to train.

    Args:
        context: the run.

    Raises:
        ValueError: if there is no such task, or its data does not fit.
        FileNotFoundError: if a file is not there.
    """
    task = context.config.task
    if task not in TASKS and get_close_matches(task, TASKS):
        raise ValueError(
            f"there is no task {task!r}: did you mean {get_close_matches(task, TASKS)[0]}?"
        )
    module, _, name = TASKS.get(task, LABELLED).partition(":")
    opener: TaskOpener = getattr(import_module(module), name)
    return opener(context)
