"""A model that answers a task with labels, opened from the folder of any way to tune it.

Whole models and classifiers, LoRA and trained prompts, in a blank or under a head; also a
pretrained model that was never tuned. How it was tuned (task, patterns, layout, pooled token) is
read from what its training wrote beside it.

Shapes: `L` labels or candidates of an example.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from unblank.adapters.calibration import calibration_of
from unblank.adapters.opening import load_adapted, put_adapter, require_undamaged
from unblank.adapters.record import AdapterRecord, has_adapter
from unblank.calibration.record import LabelCalibration
from unblank.engine.parallel import World
from unblank.families.loading import load_folder, require_folder, torch_device, torch_dtype
from unblank.families.settings import ModelSettings
from unblank.families.table import family_of_model
from unblank.finetuning.labels.classifier import ClassifierWay
from unblank.finetuning.labels.classifier_model import is_classifier_folder
from unblank.finetuning.labels.cloze import ClozeWay, Words
from unblank.finetuning.labels.reading import Labelled, StartingPoint
from unblank.finetuning.labels.settings import ClozeSettings
from unblank.finetuning.labels.training import Way
from unblank.generation.priors import Normalization, Prior
from unblank.integrity import PROVENANCE_NAME
from unblank.models.half_weights import answering_model
from unblank.prompting import ClozeTask, TaskExample, load_task
from unblank.prompting.scoring import Layout, Prediction, decide, decide_calibrated, normalized
from unblank.settings.recipes import from_mapping
from unblank.training_record import training_settings
from unblank.untrusted.adapter import PEFT_CONFIG_NAME
from unblank.untrusted.json_text import read_json_object
from unblank.untrusted.links import refuse_links_out
from unblank.untrusted.opening import config_in, tokenizer_in
from unblank.untrusted.weight_files import opened_weights

__all__ = ["TunedTask", "asked_of", "has_label_head", "open_tuned", "tuned_on"]

_NOT_A_TASK = "seq2seq"
"""What a run on text pairs has in the place of a task."""


@dataclass(frozen=True, slots=True)
class TunedTask:
    """A task, and the model that answers it.

    Attributes:
        task: what is asked.
        model: in evaluation mode.
        tokenizer: of the model.
        way: how the model answers.
        asked: how, as plain values.
        calibration: of the probabilities; None for the model's own.
        note: why a calibration that is there is not used; empty if none is, or if it is used.
    """

    task: ClozeTask
    model: Any
    tokenizer: Any
    way: Way
    asked: Mapping[str, Any] = field(default_factory=dict)
    calibration: LabelCalibration | None = None
    note: str = ""

    def shares(self, examples: Sequence[TaskExample], batch_size: int = 32) -> list[Tensor]:
        """Return for each example float32[L], the model's own probabilities of its labels.

        Args:
            examples: of the task; they need no labels.
            batch_size: examples scored together.

        Raises:
            ValueError: an example that is too long and cannot be shortened.
        """
        return self.way.shares(self.model, examples, batch_size)

    def predictions(
        self, examples: Sequence[TaskExample], batch_size: int = 32
    ) -> list[Prediction]:
        """Return what is predicted of each example, with calibrated probabilities if there are any.

        Arguments and errors are those of `shares`.
        """
        found = self.shares(examples, batch_size)
        pairs = zip(examples, found, strict=True)
        if self.calibration is None:
            return [decide(self.task, *pair) for pair in pairs]
        temperature = self.calibration.temperature
        return [decide_calibrated(self.task, *pair, temperature) for pair in pairs]

    def calibrated(self, folder: Path) -> Self:
        """Return it with the calibration in its folder, if there is one for what is asked.

        Raises:
            ValueError: it is damaged, or was learned from other weights.
        """
        known = calibration_of(folder)
        found = None if known is None else known.labels.get(self.task.name)
        if found is None:
            return self
        if different := found.difference(self.asked):
            return replace(
                self,
                note=f"not calibrated: the calibration of {self.task.name} in {folder} was "
                f"learned with other {different}",
            )
        return replace(self, calibration=found)


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
        patterns: numbers of the task's patterns; none for those that it was tuned with, or the
            task's own choice.
        layout: how the model answers; None for how it was tuned.
        normalization: how candidates are compared; None for how it was tuned, or as the task says.
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
        raise ValueError(f"{folder} does not say which task it was tuned on: give --task")
    loaded = load_task(name)
    if cloze.scoring is not None:
        loaded = replace(loaded, scoring=cloze.scoring)
    is_same = known is not None and _stem(name) == _stem(known)
    numbers = tuple(patterns) or (cloze.patterns if is_same else ())
    for number in numbers:
        loaded.pattern(number)
    if has_label_head(folder):
        if patterns or layout or normalization:
            raise ValueError(
                f"{folder} is a classifier, which has no patterns, no layout and no normalization: "
                "leave them out"
            )
        return _open_classifier(folder, loaded, cloze, device, dtype)
    opened = load_adapted if has_adapter(folder) else load_folder
    model, tokenizer = opened(folder, device=device, dtype=dtype)
    if family_of_model(model).writes != "blanks":
        raise ValueError(
            f"{folder} is a {family_of_model(model).name}, which fills no blanks: a task with "
            "labels needs a GLM, or a classifier"
        )
    loaded, prior = normalized(loaded, normalization)
    if normalization is None and is_same and cloze.calibrate:
        prior = "pmi"
    data = _labelled(folder, loaded, model, tokenizer, cloze.max_length)
    chosen = layout or cloze.layout
    way = ClozeWay(data, patterns=numbers, loss=cloze.loss, layout=chosen, words=Words(prior=prior))
    asked = asked_of(loaded, patterns=numbers, layout=chosen, prior=prior)
    return TunedTask(loaded, answering_model(model.eval()), tokenizer, way, asked)


def asked_of(
    task: ClozeTask,
    *,
    patterns: Sequence[int] = (),
    layout: Layout = "blank",
    prior: Prior | None = None,
) -> dict[str, Any]:
    """Return how a model is asked in blanks, as plain values, for calibrations.

    Args:
        task: what is asked.
        patterns: numbers of its patterns; none for its own choice.
        layout: how the model answers.
        prior: what is taken off.
    """
    return {
        "way": "cloze",
        "task": task.content_hash,
        "patterns": list(patterns) or [task.default_pattern],
        "layout": layout,
        "normalization": prior or task.scoring,
    }


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


def _stem(name: str) -> str:
    """Return a task's name without its folder, by which the same one is known after a move."""
    return Path(name).stem


def _tuned_with(folder: Path) -> tuple[str | None, ClozeSettings]:
    """Return the task of a folder's training and how it was asked; the defaults if unknown."""
    settings = training_settings(folder)
    if settings.get("task") in (None, _NOT_A_TASK):
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
    model: Any = ClassifierWay(data, pooled=cloze.pooled, branch=cloze.branch).build_model()
    if record is not None:
        model = put_adapter(model, tokenizer, folder, record)
    if dtype is not None:
        model = model.to(torch_dtype(dtype))
    way = ClassifierWay(data, pooled=cloze.pooled, branch=cloze.branch)  # a prompt is there now
    asked = {"way": "classifier", "task": task.content_hash}
    model = answering_model(model.to(torch_device(device)).eval())
    return TunedTask(task, model, tokenizer, way, asked)


def _labelled(
    folder: Path, task: ClozeTask, model: Any, tokenizer: Any, max_length: int | None
) -> Labelled:
    """Return a task without examples, as a way to answer takes it."""
    config = config_in(folder) if model is None else model.config
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
