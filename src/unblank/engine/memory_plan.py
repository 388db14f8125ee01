"""The memory that each process of a run needs, by formulas, for any number of processes.

F are the model's numbers, P those that are trained and M those that Muon changes; R and L those
outside of layers and of one layer, and U those of the largest unit of shards: the token embeddings,
what else is outside of layers, or a layer; T the positions of a micro-batch, V rows of the
vocabulary, N layers of width W. Shards (`fsdp`) are whole, one layer at a time, while they compute;
what is outside of layers, all the time. Where a step has several micro-batches, their gradients are
added up whole. A chunk of logits has at most 32 MiB on a CPU, else 64 (`models.loss`). Compared
with measured peaks in docs/scaling.md.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from unblank.models.loss import CHUNK_BYTES, GPU_CHUNK_BYTES

__all__ = [
    "ProcessLayout",
    "checkpoint_bytes",
    "count_sizes",
    "exchanged_bytes",
    "plan_memory",
]

_LIBRARIES = 0.42 * 2**30
"""Memory of Python, torch and transformers with their kernels, in bytes (Linux, CPU)."""
_ACTIVATIONS_OF_A_LAYER = 34
"""Numbers of the layer's width that are kept for each position: inputs of each product, LayerNorm,
GELU and dropout."""
_CHUNKS = 3
"""Chunks of logits at once: the logits, their logarithms, and the gradient."""


@dataclass(frozen=True, slots=True)
class ProcessLayout:
    """How processes hold the model.

    Attributes:
        parallel: `ddp` or `fsdp`.
        size: number of processes.
        shard_group: processes that hold a model together; None is all of them.
    """

    parallel: str
    size: int
    shard_group: int | None = None

    @property
    def shards(self) -> int:
        """Processes among which a model is divided."""
        return (self.shard_group or self.size) if self.parallel == "fsdp" else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySizes:
    """What of a model and a step its memory depends on.

    Attributes:
        all: numbers of the model.
        trained: those that are trained.
        root: those outside of layers.
        embeddings: those of the token embeddings, which are outside of layers.
        layer: those of the largest layer.
        matrices: those that Muon changes; 0 for AdamW.
        saves_all: whether a folder holds all numbers, or those that are trained alone (adapters).
        has_average: whether a moving average is kept.
        positions: of a micro-batch.
        scored: positions of a micro-batch whose tokens are predicted.
        micro_batches: of a step, in one process.
        passes: how often a position passes `num_hidden_layers` layers.
        activation_bytes: 2 in bf16, 4 in fp32.
        recomputes: whether layers keep their inputs only.
        layers: number of layers.
        width: of the model.
        vocabulary: rows of the embedding table.
    """

    all: int
    trained: int
    root: int
    embeddings: int
    layer: int
    matrices: int
    saves_all: bool
    has_average: bool
    positions: int
    scored: int
    micro_batches: int
    passes: float
    activation_bytes: int
    recomputes: bool
    layers: int
    width: int
    vocabulary: int

    @property
    def saved(self) -> int:
        """Numbers of the weights that are written."""
        return self.all if self.saves_all else self.trained


def count_sizes(
    model: PreTrainedModel, matrices: Iterable[nn.Parameter] = (), **of_the_step: Any
) -> MemorySizes:
    """Return the sizes of a model, which may be on the meta device.

    Args:
        model: not sharded.
        matrices: that Muon changes.
        **of_the_step: the fields of `MemorySizes` that are no property of the model.
    """
    config: Any = model.config
    kinds = set(getattr(model, "_no_split_modules", None) or ())
    layers = [one for one in model.modules() if type(one).__name__.removeprefix("FSDP") in kinds]
    in_layers = [sum(one.numel() for one in layer.parameters()) for layer in layers]
    total = sum(one.numel() for one in model.parameters())
    return MemorySizes(
        all=total,
        trained=sum(one.numel() for one in model.parameters() if one.requires_grad),
        root=total - sum(in_layers),
        embeddings=model.get_input_embeddings().weight.numel(),
        layer=max(in_layers, default=0),
        matrices=sum(one.numel() for one in matrices),
        layers=config.num_hidden_layers,
        width=config.hidden_size,
        vocabulary=config.vocab_size,
        **of_the_step,
    )


@dataclass(frozen=True, slots=True)
class Need:
    """What one process needs for one purpose."""

    formula: str
    """With the letters of this module's docstring."""
    num_bytes: float
    """At the peak of a step."""


def plan_memory(sizes: MemorySizes, layout: ProcessLayout, *, on_cpu: bool) -> dict[str, Need]:
    """Return name of each part -> what one process needs for it at the peak of a step.

    Args:
        sizes: of model and step.
        layout: of the processes.
        on_cpu: whether the memory is the process's own, which holds libraries and the copy of a
            checkpoint, too, and keeps what each layer was gathered into.
    """
    number = layout.shards
    share = f" / {number}" if number > 1 else ""
    weights, gradients = 4.0 * sizes.all / number, 4.0 * sizes.trained / number
    weights_text = gradients_text = ""
    unit = sizes.root + sizes.layer
    largest = max(sizes.embeddings, sizes.root - sizes.embeddings, sizes.layer)
    if number > 1:
        # A unit is gathered into one block, which is then divided into its parameters.
        weights += 4.0 * (unit + sizes.layer + largest)
        weights_text = " + 4 (R + 2 L + U)"
        whole = sizes.trained if sizes.micro_batches > 1 else min(unit, sizes.trained)
        # Its gradients are copied into one block before they are exchanged.
        gradients += 4.0 * (whole + largest)
        gradients_text = f" + 4 {'P' if sizes.micro_batches > 1 else '(R + L)'} + 4 U"
    elif layout.size > 1:
        # The blocks in which gradients are exchanged are laid out again after the first step.
        gradients *= 2
        gradients_text = " + 4 P"
    size, of_a_layer = sizes.activation_bytes, _ACTIVATIONS_OF_A_LAYER
    # Recomputed, each layer keeps its input, and one of them the rest.
    passed = sizes.layers * sizes.passes
    kept = passed + of_a_layer if sizes.recomputes else passed * of_a_layer
    kept_text = f"(N + {of_a_layer})" if sizes.recomputes else f"{of_a_layer} N"
    activations = size * float(sizes.positions) * kept * sizes.width
    most = CHUNK_BYTES if on_cpu else GPU_CHUNK_BYTES
    chunk = min(most, 4 * sizes.scored * sizes.vocabulary)
    moments = _moment_bytes(sizes) / number
    average = {"average": Need(f"4 P{share}", 4.0 * sizes.trained / number)}
    return {
        "weights": Need(f"4 F{share}{weights_text}", weights),
        "gradients": Need(f"4 P{share}{gradients_text}", gradients),
        "optimiser": Need(f"{'8 P - 4 M' if sizes.matrices else '8 P'}{share}", moments),
        **(average if sizes.has_average else {}),
        "activations": Need(f"{size} T {kept_text} W", activations),
        "logits": Need(
            f"{_CHUNKS} chunks + {size} V W",
            float(_CHUNKS * chunk + sizes.vocabulary * sizes.width * size),
        ),
        **(_on_cpu(sizes, number) if on_cpu else {}),
    }


def _on_cpu(sizes: MemorySizes, shards: int) -> dict[str, Need]:
    needs = {"libraries": Need("measured", _LIBRARIES)}
    if shards > 1:
        # Freed after the layer, but between smaller blocks, where the C library keeps it.
        needs["kept by malloc"] = Need("4 (F - R)", 4.0 * (sizes.all - sizes.root))
        # Written from a copy, as the run goes on meanwhile; what lies beside a model is gathered.
        moments = "8 P - 4 M" if sizes.matrices else "8 P"
        parts = f"{moments}{' + 4 P' if sizes.has_average else ''}"
        formula = f"(4 F + {parts})" if sizes.saves_all else f"4 P + ({parts})"
        whole = 0.0 if sizes.saves_all else 4.0 * sizes.trained
        num_bytes = whole + (checkpoint_bytes(sizes) - whole) / shards
        needs["checkpoint"] = Need(f"{formula} / {shards}", num_bytes)
    return needs


def checkpoint_bytes(sizes: MemorySizes) -> float:
    """Return the size of a checkpoint: weights, moments, and a moving average if there is one."""
    average = 4.0 * sizes.trained * sizes.has_average
    return 4.0 * sizes.saved + _moment_bytes(sizes) + average


def _moment_bytes(sizes: MemorySizes) -> float:
    return 8.0 * sizes.trained - 4.0 * sizes.matrices


def exchanged_bytes(sizes: MemorySizes, layout: ProcessLayout) -> float:
    """Return what one process sends in a step: ring exchange, each over (n - 1) / n of all.

    Replicas add up gradients, which takes two such exchanges. Shards are gathered twice for each
    micro-batch, before its forward and its backward pass, and gradients are scattered once.
    """
    shards = layout.shards
    groups = layout.size // shards
    inside = (shards - 1) / shards * 4.0 * (2 * sizes.micro_batches * sizes.all + sizes.trained)
    return inside + 2 * (groups - 1) / groups * 4.0 * sizes.trained / shards
