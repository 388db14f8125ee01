"""How a task with labels is learned: as cloze questions, or by a classifier."""

from collections.abc import Callable
from dataclasses import replace

from transformers import PreTrainedTokenizerFast

from unblank.engine.training import RunContext, Training
from unblank.families.settings import ModelSettings, TokenizerSettings
from unblank.finetuning.labels.classifier import ClassifierScorer
from unblank.finetuning.labels.classifier_model import is_classifier_folder
from unblank.finetuning.labels.cloze import ClozeScorer, Words
from unblank.finetuning.labels.reading import StartingPoint, read_labelled
from unblank.finetuning.labels.settings import ClozeSettings
from unblank.finetuning.labels.steps import Sizes
from unblank.finetuning.labels.training import LabelScorer, LabelTraining
from unblank.finetuning.settings import FinetuneDataSettings, FinetuneTrainSettings
from unblank.prompting.task import ClozeTask
from unblank.prompting.task_files import load_task

__all__ = ["open_labelled"]


def open_labelled(
    context: RunContext,
    name: str,
    *,
    model: ModelSettings,
    tokenizer: TokenizerSettings,
    data: FinetuneDataSettings,
    cloze: ClozeSettings,
    train: FinetuneTrainSettings,
    is_classifier: bool,
    prepare_tokenizer: Callable[[PreTrainedTokenizerFast], None] | None,
) -> Training:
    """Return the training: of a classifier if one is asked for or continued, else in blanks.

    The sections of the settings are given one by one; `name` is a task template or the path of a
    YAML file, and `prepare_tokenizer` is called once there is a tokenizer.

    Raises:
        ValueError: data, model and settings do not fit; the message names the file and line.
        FileNotFoundError: a file or folder is not there.
    """
    words = Words.of(cloze, train.seed)
    task = _task(name, cloze, words)
    start = StartingPoint(model, train.seed, context.checkpoint)
    by_classifier = is_classifier or is_classifier_folder(start.folder)
    labelled = read_labelled(
        context,
        start,
        task,
        tokenizer=tokenizer,
        files={"train": data.train, "validation": data.validation},
        hold_out=data.hold_out,
        measured=train.validation_samples,
        max_length=cloze.max_length,
        by_classifier=by_classifier,
        is_sharded=train.parallel == "fsdp" and context.world.size > 1,
        tokenizer_folder=train.output_dir,
        prepare_tokenizer=prepare_tokenizer,
    )
    metric = _metric(train.metric, task)
    sizes = Sizes(train.batch_size, train.micro_batch_size, train.seed, context.world)
    scorer: LabelScorer
    if by_classifier:
        scorer = ClassifierScorer(labelled, pooled=cloze.pooled, branch=cloze.branch)
    else:
        scorer = ClozeScorer(
            labelled, patterns=cloze.patterns, loss=cloze.loss, layout=cloze.layout, words=words
        )
    return LabelTraining(labelled, scorer, sizes, metric)


def _task(name: str, cloze: ClozeSettings, words: Words) -> ClozeTask:
    if cloze.ensemble:
        raise ValueError("cloze.ensemble trains several models: start it with unblank finetune")
    task = load_task(name)
    if cloze.scoring is not None:
        task = replace(task, scoring=cloze.scoring)
    if task.patterns:
        words.check(task, cloze.patterns)
    return task


def _metric(given: str | None, task: ClozeTask) -> str:
    known = (*task.metrics, "loss")
    if given not in (None, *known):
        raise ValueError(
            f"train.metric is {given!r}: for task {task.name} choose one of {', '.join(known)}"
        )
    return given or task.metrics[0]
