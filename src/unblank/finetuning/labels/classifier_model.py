"""The model of a classifier: a GLM or one branch of a GanLM under a head, new or of its folder."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import AutoConfig, PreTrainedModel

from unblank.families.loading import require_whole_weights
from unblank.finetuning.labels.reading import Labelled
from unblank.models import GanLMForSequenceClassification, GlmInfillForSequenceClassification
from unblank.quiet import without_loading_report, without_progress_bar

__all__ = ["build_classifier", "is_classifier"]

_CLASSES: dict[str, type[PreTrainedModel]] = {
    "glm": GlmInfillForSequenceClassification,
    "ganlm": GanLMForSequenceClassification,
}

_HEAD = ("dense.", "out_proj.")

_DROPOUTS = {
    "hidden_dropout_prob": "hidden_dropout",
    "attention_probs_dropout_prob": "attention_dropout",
}


def build_classifier(data: Labelled, classes: Sequence[str]) -> PreTrainedModel:
    """Return the model, float32, on the CPU.

    Args:
        data: the task of a run.
        classes: names of the classes; none is one score a row.

    Raises:
        ValueError: if the folder is a classifier with other classes, or lacks weights.
    """
    torch.manual_seed(data.context.config.train.seed)  # of a new head
    folder = data.context.checkpoint or data.context.config.model.init_from
    names = dict(enumerate(classes)) or {0: "score"}
    if folder is None:
        return _new_classifier(data, names)
    require_whole_weights(folder)
    config = AutoConfig.from_pretrained(folder)
    if is_classifier(config) and dict(config.id2label) != names:
        raise ValueError(
            f"{folder} is a classifier of {list(config.id2label.values())}, the task has "
            f"{list(names.values())}"
        )
    changes: dict[str, Any] = {"id2label": names, "label2id": {n: i for i, n in names.items()}}
    if data.family == "ganlm" and not is_classifier(config):
        changes["classifier_branch"] = data.context.config.cloze.branch
    for name, field in _DROPOUTS.items():
        if (value := getattr(data.context.config.model, field)) is not None:
            changes[name] = value
    with without_progress_bar(), without_loading_report():
        model, report = _CLASSES[data.family].from_pretrained(
            folder,
            dtype=torch.float32,
            attn_implementation=data.context.config.model.attention_implementation,
            output_loading_info=True,
            **changes,
        )
    lacking = [name for name in report["missing_keys"] if not name.startswith(_HEAD)]
    if lacking:
        raise ValueError(f"{folder} lacks weights: {', '.join(sorted(lacking)[:5])}")
    classifier: PreTrainedModel = model
    return classifier


def is_classifier(config: Any) -> bool:
    """Whether the model of a configuration has a classification head."""
    return any("Classification" in name for name in config.architectures or ())


def _new_classifier(data: Labelled, names: dict[int, str]) -> PreTrainedModel:
    if data.family != "glm":
        raise ValueError("a classifier on a GanLM starts from a model: give --model.init_from")
    glm = data.build_glm()
    config = glm.config
    config.id2label, config.label2id = names, {name: number for number, name in names.items()}
    classifier = GlmInfillForSequenceClassification(config)
    classifier.model = glm.model
    return classifier
