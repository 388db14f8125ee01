"""Which way a task with labels is learnt: as cloze questions, or by a classifier."""

from transformers import AutoConfig

from unblank.engine.task import FinetuneTask, TaskContext

__all__ = ["open_labelled"]


def open_labelled(context: TaskContext) -> FinetuneTask:
    """Return the task: a classifier if settings or the model's folder say so, else a cloze.

    Raises:
        ValueError: data, model and settings do not fit; the message names the file and line.
        FileNotFoundError: a file or folder is not there.
    """
    from unblank.finetuning.labels.classifier import open_classifier
    from unblank.finetuning.labels.classifier_model import is_classifier
    from unblank.finetuning.labels.cloze import open_cloze

    folder = context.checkpoint or context.config.model.init_from
    has_head = bool(
        folder
        and (folder / "config.json").is_file()
        and is_classifier(AutoConfig.from_pretrained(folder))
    )
    config = context.config
    if has_head or config.method == "classifier" or config.cloze.classifier:
        return open_classifier(context)
    return open_cloze(context)
