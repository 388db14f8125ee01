"""A model that answers tasks with labels, opened from the folder of any way to tune it.

Whole models and classifiers, LoRA and trained prompts, in a blank or under a head; also a
pretrained model that was never tuned. How it was tuned (task, patterns, words, layout, pooled
token) is read from what its training wrote beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch

from unblank.adapters.opening import attach_adapter, load_adapted, require_undamaged
from unblank.adapters.record import AdapterRecord, has_adapter
from unblank.engine.parallel import World
from unblank.families.loading import load_folder, require_folder, torch_device, torch_dtype
from unblank.families.settings import ModelSettings
from unblank.families.table import family_of_model
from unblank.finetuning.labels.classifier import ClassifierScorer
from unblank.finetuning.labels.classifier_model import is_classifier_folder
from unblank.finetuning.labels.cloze import ClozeScorer, Words
from unblank.finetuning.labels.reading import Labelled, StartingPoint
from unblank.finetuning.labels.settings import ClozeSettings
from unblank.finetuning.labels.tuned_task import TunedTask, asked_of
from unblank.finetuning.requirements import WRITING_TASKS
from unblank.integrity import PROVENANCE_NAME
from unblank.models.half_weights import answering_model
from unblank.prompting import ClozeTask, load_task
from unblank.prompting.asking import AS_IT_STANDS, Asking
from unblank.prompting.scoring import normalized
from unblank.settings.choices import Layout, Normalization
from unblank.settings.recipes import from_mapping
from unblank.training_record import training_settings
from unblank.untrusted.adapter import PEFT_CONFIG_NAME
from unblank.untrusted.json_text import read_json_object
from unblank.untrusted.links import refuse_links_out
from unblank.untrusted.opening import config_in, tokenizer_in
from unblank.untrusted.weight_files import opened_weights

__all__ = ["LabelModel", "has_label_head", "open_label_model", "open_tuned", "tuned_on"]


@dataclass(frozen=True, slots=True)
class LabelModel:
    """A model that tasks with labels can be asked.

    Attributes:
        name: for messages.
        model: in evaluation mode.
        tokenizer: of the model.
        tuned_on: name of the task that it was tuned on; None if that is not known.
        tuned_with: how it was asked then.
        head: the only task that it answers, if it has a head; None for one that is asked in blanks.
    """

    name: str
    model: Any
    tokenizer: Any
    tuned_on: str | None = None
    tuned_with: ClozeSettings = field(default_factory=ClozeSettings)
    head: TunedTask | None = None

    def ask(
        self,
        task: ClozeTask,
        *,
        patterns: Sequence[int] = (),
        layout: Layout | None = None,
        normalization: Normalization | None = None,
    ) -> TunedTask:
        """Return the task as the model is asked it, not calibrated.

        Args:
            task: what is asked.
            patterns: numbers of its patterns; none for those that the model was tuned with, or the
                task's own choice.
            layout: how the model answers; None for how it was tuned.
            normalization: how candidates are compared; None for how it was tuned, or as the task
                says.

        Raises:
            ValueError: model and task do not fit, or there is no such pattern.
        """
        if self.head is not None:
            return self._by_head(task, bool(patterns or layout or normalization))
        family = family_of_model(self.model)
        if family.writes != "blanks":
            raise ValueError(
                f"{self.name} is a {family.name}, which fills no blanks: a task with labels needs "
                "a GLM, or a classifier"
            )
        cloze = self.tuned_with
        is_same = _is_same_task(self.tuned_on, task)
        if cloze.scoring is not None:
            task = replace(task, scoring=cloze.scoring)
        numbers = tuple(patterns) or (cloze.patterns if is_same else ())
        asking = _asking(self.tuned_on, cloze, task)
        asking.check(task, numbers)
        task, prior = normalized(task, normalization)
        if normalization is None and is_same and cloze.calibrate:
            prior = "pmi"
        data = _labelled(None, task, self.model, self.tokenizer, cloze.max_length)
        chosen = layout or cloze.layout
        words = Words(training=asking, held_out=asking, prior=prior)
        scorer = ClozeScorer(data, patterns=numbers, loss=cloze.loss, layout=chosen, words=words)
        asked = asked_of(task, patterns=numbers, layout=chosen, prior=prior, asking=asking)
        return TunedTask(task, self.model, self.tokenizer, scorer, asked)

    def _by_head(self, task: ClozeTask, is_asked_otherwise: bool) -> TunedTask:
        assert self.head is not None
        if is_asked_otherwise:
            raise ValueError(
                f"{self.name} is a classifier, which has no patterns, no layout and no "
                "normalization: leave them out"
            )
        if task.content_hash != self.head.task.content_hash:
            raise ValueError(
                f"{self.name} is a classifier of the task {self.head.task.name}, and cannot be "
                f"asked {task.name}"
            )
        return self.head


def open_label_model(
    folder: Path,
    task: ClozeTask | None = None,
    *,
    device: str = "auto",
    dtype: str | torch.dtype | None = None,
) -> LabelModel:
    """Return the model of a folder.

    Args:
        folder: of a model, a classifier, an adapter or a trained prompt.
        task: that a classifier answers; None for the one that it was tuned on.
        device: as for `unblank.load`.
        dtype: as for `unblank.load`.

    Raises:
        FileNotFoundError: no such folder, base model, or file of the task.
        ValueError: the task of a classifier is not known, or does not fit it.
    """
    require_folder(folder)
    known, cloze = _tuned_with(folder)
    if has_label_head(folder):
        if task is None and known is None:
            raise _unknown_task(folder)
        answered = task or load_task(str(known))
        if cloze.scoring is not None:
            answered = replace(answered, scoring=cloze.scoring)
        head = _open_classifier(folder, answered, cloze, device, dtype)
        return LabelModel(str(folder), head.model, head.tokenizer, known, cloze, head)
    opened = load_adapted if has_adapter(folder) else load_folder
    model, tokenizer = opened(folder, device=device, dtype=dtype)
    return LabelModel(str(folder), answering_model(model.eval()), tokenizer, known, cloze)


def open_tuned(
    folder: Path,
    task: str | None = None,
    *,
    patterns: Sequence[int] = (),
    layout: Layout | None = None,
    normalization: Normalization | None = None,
    device: str = "auto",
    dtype: str | torch.dtype | None = None,
) -> TunedTask:
    """Return the model of a folder with the task that it answers, not calibrated.

    Args:
        folder: of a model, a classifier, an adapter or a trained prompt.
        task: name of a task, or its YAML file; None for the one that it was tuned on.
        patterns: as for `LabelModel.ask`.
        layout: as for `LabelModel.ask`.
        normalization: as for `LabelModel.ask`.
        device: as for `unblank.load`.
        dtype: as for `unblank.load`.

    Raises:
        FileNotFoundError: no such folder, task file, or base model.
        ValueError: no task is known, or model and task do not fit.
    """
    require_folder(folder)
    known, cloze = _tuned_with(folder)
    name = task or known
    if name is None:
        raise _unknown_task(folder)
    loaded = load_task(name)
    if patterns:  # before a model is opened
        _asking(known, cloze, loaded).check(loaded, patterns)
    model = open_label_model(folder, loaded, device=device, dtype=dtype)
    asked = loaded if model.head is None else model.head.task
    return model.ask(asked, patterns=patterns, layout=layout, normalization=normalization)


def _is_same_task(tuned_on: str | None, task: ClozeTask) -> bool:
    """Whether a task is the one of the training: by its name alone, as its file may have moved."""
    return tuned_on is not None and Path(tuned_on).stem == task.name


def _asking(tuned_on: str | None, tuned_with: ClozeSettings, task: ClozeTask) -> Asking:
    """Return in which words a task is asked: as the training was measured, else as it stands."""
    return Words.of(tuned_with, 0).held_out if _is_same_task(tuned_on, task) else AS_IT_STANDS


def _unknown_task(folder: Path) -> ValueError:
    return ValueError(f"{folder} does not say which task it was tuned on: give --task")


def has_label_head(folder: Path) -> bool:
    """Whether a folder has a classification head: a classifier, or an adapter that brings one.

    Raises:
        FileNotFoundError: an adapter lacks its file.
        ValueError: its files are damaged.
    """
    if (folder / "prompt.safetensors").is_file():
        with opened_weights(folder / "prompt.safetensors") as file:
            return any(name.startswith("head.") for name in file.keys())  # noqa: SIM118
    if (folder / PEFT_CONFIG_NAME).is_file():
        return bool(read_json_object(folder / PEFT_CONFIG_NAME).get("modules_to_save"))
    return is_classifier_folder(folder)


def tuned_on(folder: Path) -> str | None:
    """Return the task with labels that a folder was tuned on, as its training named it."""
    return _tuned_with(folder)[0]


def _tuned_with(folder: Path) -> tuple[str | None, ClozeSettings]:
    """Return the task of a folder's training and how it was asked; the defaults if unknown."""
    settings = training_settings(folder)
    if settings.get("task") in (None, *WRITING_TASKS):
        return None, ClozeSettings()
    names = {field.name for field in fields(ClozeSettings)}
    asked = settings.get("cloze")
    values = {
        name: value
        for name, value in (asked if isinstance(asked, Mapping) else {}).items()
        if name in names and name != "ensemble"
    }
    try:
        return str(settings["task"]), from_mapping(ClozeSettings, values)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{folder / PROVENANCE_NAME} is damaged: its settings of cloze do not fit ({error})"
        ) from error


def _open_classifier(
    folder: Path,
    task: ClozeTask,
    cloze: ClozeSettings,
    device: str,
    dtype: str | torch.dtype | None,
) -> TunedTask:
    refuse_links_out(folder)
    record, base = None, folder
    if has_adapter(folder):
        require_undamaged(folder)
        record = AdapterRecord.read(folder)
        base = record.require_base(folder)
    tokenizer = tokenizer_in(base)
    data = _labelled(base, task, None, tokenizer, cloze.max_length)
    model: Any = ClassifierScorer(data, pooled=cloze.pooled, branch=cloze.branch).build_model()
    if record is not None:
        model = attach_adapter(model, tokenizer, folder, record)
    if dtype is not None:
        model = model.to(torch_dtype(dtype))
    # A prompt is there now.
    scorer = ClassifierScorer(data, pooled=cloze.pooled, branch=cloze.branch)
    asked = {"way": "classifier", "task": task.content_hash}
    model = answering_model(model.to(torch_device(device)).eval())
    return TunedTask(task, model, tokenizer, scorer, asked)


def _labelled(
    folder: Path | None, task: ClozeTask, model: Any, tokenizer: Any, max_length: int | None
) -> Labelled:
    """Return a task without examples, as a scorer takes it.

    Args:
        folder: that a classifier is read from; None for a model that is open.
        task: what is asked.
        model: None if a folder is given.
        tokenizer: of the model.
        max_length: positions of an example; None for those of the model.
    """
    config = model.config if folder is None else config_in(folder)
    positions = int(config.max_position_embeddings)
    settings = ModelSettings(init_from=folder)
    return Labelled(
        start=StartingPoint(settings, 0, None),
        family=family_of_model(config),
        task=task,
        tokenizer=tokenizer,
        train=(),
        validation=(),
        max_length=min(max_length or positions, positions),
        content=[],
        world=World(0, 1, torch.device("cpu")),
    )
