"""What a family's reader says about a checkpoint: the model to build and where each tensor is from.

A plan reads nothing by itself; `check_plan` proves that it accounts for every key of the source and
every parameter of the model before the writer touches the disk.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from unblank.conversion.options import ConvertOptions
from unblank.conversion.source import Source

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

__all__ = [
    "Action",
    "ConversionPlan",
    "DroppedKey",
    "PlanReader",
    "PlannedTensor",
    "check_plan",
    "copied",
    "table_shape",
]

_WEIGHT_TYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)

Action = Literal["kept", "renamed", "split", "merged", "changed"]
"""What happened to the source tensor; "changed" means its values (the reason says how)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTensor:
    """One tensor of the output.

    Attributes:
        name: parameter of the model.
        shape: of what `read` returns.
        keys: original keys it is made of.
        action: what was done.
        read: returns the tensor when it is written; it may be a view of the mapped file.
        reason: why, where the action does not say all.
    """

    name: str
    shape: tuple[int, ...]
    keys: tuple[str, ...]
    action: Action
    read: Callable[[], Tensor]
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedKey:
    """A source key that is deliberately left out, and why."""

    key: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionPlan:
    """All that the writer and the report need to know.

    Attributes:
        model_class: what the folder will hold; `config.json` names it.
        config: its configuration, complete with special token ids if there is a tokenizer.
        tensors: every parameter except tied copies, in the order of writing.
        dropped: source keys left out.
        tokenizer: rebuilt from the user's vocabulary files; None if there are none.
        tokenizer_facts: kind, files and sizes, and each special id with its check, for the report.
        traps: known pitfalls of this checkpoint and what was done about them, as lines.
        evidence: how sizes that no shape shows were chosen (number of heads, ...), as lines.
        untrained: parameters of the model that the checkpoint never had, such as the head of a
            classifier to be; they are not written, and loading starts them at random.
    """

    model_class: "type[PreTrainedModel]"
    config: Any
    tensors: tuple[PlannedTensor, ...]
    dropped: tuple[DroppedKey, ...] = ()
    tokenizer: "PreTrainedTokenizerFast | None" = None
    tokenizer_facts: dict[str, Any] = field(default_factory=dict)
    traps: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    untrained: tuple[str, ...] = ()


PlanReader = Callable[[Source, ConvertOptions], ConversionPlan]
"""What each family provides: `plan_glm(source, options)`, `plan_deltalm(source, options)`, ..."""


def copied(name: str, key: str, tensor: Tensor) -> PlannedTensor:
    """Return a plan to write one source tensor as it is, under its new name."""
    return PlannedTensor(
        name=name,
        shape=tuple(tensor.shape),
        keys=(key,),
        action="kept" if name == key else "renamed",
        read=lambda: tensor,
    )


def table_shape(key: str, shape: Sequence[int]) -> tuple[int, int]:
    """Return the rows and the width of a matrix.

    Raises:
        ValueError: it has another number of dimensions.
    """
    if len(shape) != 2:
        raise ValueError(f"{key} has shape {list(shape)}: it should be a table of rows and columns")
    rows, width = shape
    return rows, width


def check_plan(plan: ConversionPlan, source: Source) -> None:
    """Check that no source key is left over and that every parameter of the model is filled.

    Raises:
        ValueError: a key that is neither used nor dropped, weights of another type than floating
            point, a parameter without a tensor or of another shape, or a tokenizer that the
            embedding table has no rows for.
    """
    accounted = {key for tensor in plan.tensors for key in tensor.keys}
    accounted |= {dropped.key for dropped in plan.dropped}
    found = {key for state_dict in source.state_dicts for key in state_dict}
    if left := found - accounted:
        raise ValueError(
            f"{source.path} has weights that a {plan.model_class.__name__} does not have: "
            f"{_keys_shown(left)}; only weights that are known to be unused are left out"
        )
    _check_types(plan, source)
    _check_parameters(plan, source)
    rows = int(plan.config.vocab_size)
    if plan.tokenizer is not None and len(plan.tokenizer) > rows:
        raise ValueError(
            f"the tokenizer has {len(plan.tokenizer)} tokens but the embedding table of "
            f"{source.path} has only {rows} rows: they do not belong together"
        )


def _check_types(plan: ConversionPlan, source: Source) -> None:
    used = {key for tensor in plan.tensors for key in tensor.keys}
    for state_dict in source.state_dicts:
        for key in used & state_dict.keys():
            if state_dict[key].dtype not in _WEIGHT_TYPES:
                raise ValueError(
                    f"{key} of {source.path} is {state_dict[key].dtype}: weights must be float32, "
                    "float16 or bfloat16; give the checkpoint from before quantisation"
                )


def _check_parameters(plan: ConversionPlan, source: Source) -> None:
    with torch.device("meta"):
        model = plan.model_class(plan.config)
    absent = {*model.all_tied_weights_keys, *plan.untrained}
    wanted = {
        name: tuple(tensor.shape)
        for name, tensor in model.state_dict().items()
        if name not in absent
    }
    given = {tensor.name: tensor.shape for tensor in plan.tensors}
    if len(given) != len(plan.tensors):
        raise ValueError(f"{source.path}: two source keys mean the same parameter")
    if missing := wanted.keys() - given.keys():
        raise ValueError(
            f"{source.path} lacks weights: {_keys_shown(missing)} (of {len(wanted)}); it may be "
            "only a part of the checkpoint"
        )
    if extra := given.keys() - wanted.keys():
        raise ValueError(
            f"{source.path} has more weights than its configuration has layers: "
            f"{_keys_shown(extra)}"
        )
    for name, shape in given.items():
        if shape != wanted[name]:
            raise ValueError(
                f"{name} of {source.path} has shape {list(shape)}, but the other weights imply "
                f"{list(wanted[name])}"
            )


def _keys_shown(keys: Iterable[str]) -> str:
    """Return keys as text, the first few and how many more."""
    names = sorted(keys)
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
