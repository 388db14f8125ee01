"""The model of a classifier: one of a family under a head, new or of its folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from unblank.families.loading import require_whole_weights
from unblank.families.settings import FamilySections
from unblank.finetuning.labels.reading import Labelled
from unblank.finetuning.labels.settings import Branch, Pooled
from unblank.models.finite import require_finite
from unblank.starting.vocabulary import fit_vocabulary
from unblank.untrusted.opening import config_in, model_in

__all__ = ["build_classifier", "is_classifier_folder"]

_HEAD = ("dense.", "out_proj.")
_PROBLEM = "multi_label_classification"
"""How transformers calls it when several classes may apply."""


def build_classifier(
    data: Labelled,
    classes: Sequence[str],
    *,
    pooled: Pooled,
    branch: Branch,
    may_be_several: bool,
) -> PreTrainedModel:
    """Return the model, float32, on the CPU.

    Args:
        data: the task of a run.
        classes: names of the classes; none is one score a row.
        pooled: the token that is classified from, where that can be chosen.
        branch: the decoder that is read, where a model has two.
        may_be_several: whether several classes may apply at once.

    Raises:
        ValueError: if the folder is a classifier with other classes, or lacks weights.
    """
    of_family, start = data.family.classifier, data.start
    assert of_family is not None
    torch.manual_seed(start.seed)  # of a new head
    folder = start.folder
    names = dict(enumerate(classes)) or {0: "score"}
    if folder is None:
        return _new_classifier(data, names, pooled, _PROBLEM if may_be_several else None)
    require_whole_weights(folder)
    config = config_in(folder)
    if _is_classifier(config) and dict(config.id2label) != names:
        raise ValueError(
            f"{folder} is a classifier with the labels {list(config.id2label.values())}, but the "
            f"task has {list(names.values())}"
        )
    changes: dict[str, Any] = {"id2label": names, "label2id": {n: i for i, n in names.items()}}
    if may_be_several:
        changes["problem_type"] = _PROBLEM
    if of_family.pooled_field is not None:
        changes[of_family.pooled_field] = pooled
    if of_family.branch_field is not None and not _is_classifier(config):
        changes[of_family.branch_field] = branch
    model, report = model_in(
        folder,
        of_family.model_class,
        {**changes, **start.settings.dropouts},
        dtype=torch.float32,
        attn_implementation=start.settings.attention_implementation,
    )
    lacking = [name for name in report["missing_keys"] if not name.startswith(_HEAD)]
    if lacking:
        raise ValueError(f"{folder} lacks weights: {', '.join(sorted(lacking)[:5])}")
    classifier: PreTrainedModel = model
    require_finite(classifier.named_parameters(), folder)
    if start.checkpoint is None:
        fit_vocabulary(
            classifier, folder, data.tokenizer, data.family, FamilySections(), start.seed
        )
    return classifier


def _is_classifier(config: Any) -> bool:
    """Whether the model of a configuration has a classification head."""
    return any("Classification" in name for name in config.architectures or ())


def is_classifier_folder(folder: Path | None) -> bool:
    """Whether a folder holds a whole model with a classification head; errors as `config_in`."""
    return (
        folder is not None
        and (folder / "config.json").is_file()
        and _is_classifier(config_in(folder))
    )


def _new_classifier(
    data: Labelled, names: dict[int, str], pooled: Pooled, problem: str | None
) -> PreTrainedModel:
    of_family = data.family.classifier
    assert of_family is not None
    if not of_family.starts_new:
        raise ValueError(
            f"a classifier of the family {data.family.name} needs a model to start from: give "
            "--model.init-from FOLDER"
        )
    base: Any = data.start.build(data.tokenizer, data.max_length)
    config = base.config
    config.problem_type = problem
    if of_family.pooled_field is not None:
        setattr(config, of_family.pooled_field, pooled)
    config.id2label, config.label2id = names, {name: number for number, name in names.items()}
    classifier: Any = of_family.model_class(config)
    classifier.model = base.model
    made: PreTrainedModel = classifier
    return made
