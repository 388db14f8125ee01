"""How recorded models get more layers and keep their results: weights, states and numbers.

A new layer copies one beside it, but what it would add to the stream is multiplied by zero. Where
norms stand before each sum is computed (GLM), that alone changes nothing. Where they stand behind
it (DeltaLM, GanLM), even a layer that adds nothing norms what it gets. So the norm before the new
layers loses its scale and bias, after which another norm changes nothing either, and the last norm
of the new layers gets them.

The decoder of a DeltaLM that starts from an encoder takes two of its layers for each of its own:
where one is new there, these two are new here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

ADDS = re.compile(r"(out_proj|\bdense|dense_4h_to_h|fc[24])\.(weight|bias)$")
READS = re.compile(r"intermediate\.dense\.")
"""An inner layer of transformers' encoders, which is called as its outer ones are."""
NORM = re.compile(r"(layer_?norm|LayerNorm)\.(weight|bias)$")
LAST_NORM = re.compile(r"(final_layer_norm|output\.LayerNorm)\.(weight|bias)$")
INNER_NORM = re.compile(r"attention\.output\.LayerNorm\.")


PLAIN_SCALE = 2.0
"""Of every unit alike, so that the epsilon of the next norm matters less."""


@dataclass(frozen=True)
class Stack:
    """Layers one above the other, and where new ones come between them.

    Attributes:
        keys: what comes before the number of a layer in a key of weights.
        states: what comes before the number of a layer in the name of a recorded state.
        settings: which state the number of layers.
        at: number of the first new layer.
        count: of the new layers.
        norms_first: whether norms stand before the sums.
    """

    keys: str
    states: str
    settings: tuple[str, ...]
    at: int = 1
    count: int = 1
    norms_first: bool = False

    @property
    def copied(self) -> int:
        """The layer that the new ones copy: of the next one also keys and values are the same."""
        return self.at if self.norms_first else self.at - 1

    def place(self, name: str, before: str) -> tuple[str, int, str] | None:
        """Return what is before the number of a layer, the number, and what is behind it."""
        found = re.search(rf"{before}(\d+)(?=\.|$)", name)
        if found is None:
            return None
        return name[: found.start(1)], int(found[1]), name[found.end(1) :]

    def moved(self, number: int) -> int:
        """The new number of a layer."""
        return number + self.count if number >= self.at else number


_GLM = Stack(r"\btransformer\.layers\.", r"\.mem", ("num_layers",), norms_first=True)
STACKS = {
    "glm": (_GLM,),
    "multiglm": (_GLM,),
    "deltalm": (
        Stack(
            r"\bencoder\.(?:sentence_encoder\.)?layers?\.", r"(?:encoder_|hidden_)state",
            ("encoder_layers", "num_hidden_layers"), at=2, count=2,
        ),
        Stack(r"^decoder\.layers\.", r"decoder_state", ("decoder_layers",)),
    ),
    "ganlm": (
        Stack(r"^encoder\.discriminator\.layers\.", r"^encoder\.state", ("encoder_layers",)),
        Stack(
            r"^decoder\.generator\.layers\.", r"^generator\.state",
            ("decoder_layers", "generator_decoder_layers"),
        ),
        Stack(
            r"^decoder\.discriminator\.layers\.", r"^discriminator\.state",
            ("discriminator_decoder_layers",),
        ),
    ),
}  # fmt: skip


def more_weights(weights: Mapping[str, Tensor], stacks: tuple[Stack, ...]) -> dict[str, Tensor]:
    """Return the weights of the deeper model; what was one tensor stays one."""
    grown: dict[str, Tensor] = {}
    for key, tensor in weights.items():
        stack = _stack_of(key, stacks)
        if stack is None:
            grown[key] = tensor
            continue
        before, number, behind = stack.place(key, stack.keys)
        is_taken_over = number == stack.at - 1 and _is_last_norm(behind) and not stack.norms_first
        old = _plain(behind, tensor) if is_taken_over else tensor
        grown[f"{before}{stack.moved(number)}{behind}"] = old
        if number == stack.copied:
            for new in range(stack.at, stack.at + stack.count):
                is_last = new == stack.at + stack.count - 1
                grown[f"{before}{new}{behind}"] = _added(stack, behind, tensor, is_last)
    return grown


def _stack_of(key: str, stacks: tuple[Stack, ...]) -> Stack | None:
    return next((stack for stack in stacks if stack.place(key, stack.keys)), None)


def _is_last_norm(behind: str) -> bool:
    return bool(LAST_NORM.search(behind)) and not INNER_NORM.search(behind)


def _added(stack: Stack, behind: str, tensor: Tensor, is_last: bool) -> Tensor:
    """A tensor of a new layer."""
    if ADDS.search(behind) and not READS.search(behind):
        return torch.zeros_like(tensor)
    if not NORM.search(behind) or stack.norms_first or (is_last and _is_last_norm(behind)):
        return tensor.clone()
    return _plain(behind, tensor)


def _plain(behind: str, tensor: Tensor) -> Tensor:
    """Of a norm with neither a bias nor scales of its own."""
    is_scale = behind.endswith("weight")
    return torch.full_like(tensor, PLAIN_SCALE) if is_scale else torch.zeros_like(tensor)


def more_states(
    tensors: Mapping[str, Tensor], weights: Mapping[str, Tensor], stacks: tuple[Stack, ...]
) -> dict[str, Tensor]:
    """Return the recorded tensors of the deeper model.

    Args:
        tensors: by name.
        weights: of the model, before it became deeper.
        stacks: of its family.
    """
    grown: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        stack = next((one for one in stacks if one.place(name, one.states)), None)
        if stack is None:
            is_cache = name.endswith("_mems")
            grown[name] = _more_memories(tensor, stacks[0]) if is_cache else tensor
            continue
        before, number, behind = stack.place(name, stack.states)
        # State 0 is what the first layer reads.
        grown[f"{before}{number + stack.count * (number >= stack.at)}{behind}"] = tensor
        if number == stack.at:
            plain = tensor if stack.norms_first else _before_norm(tensor, weights, stack)
            for new in range(stack.at, stack.at + stack.count):
                grown[f"{before}{new}{behind}"] = plain.clone()
    return grown


def _before_norm(state: Tensor, weights: Mapping[str, Tensor], stack: Stack) -> Tensor:
    """What the last norm before the new layers gives with one scale and no bias."""
    found = {}
    for key, tensor in weights.items():
        place = stack.place(key, stack.keys)
        if place and place[1] == stack.at - 1 and _is_last_norm(place[2]):
            found[key.rpartition(".")[2]] = tensor.float()
    return PLAIN_SCALE * (state - found["bias"]) / found["weight"]


def _more_memories(tensor: Tensor, stack: Stack) -> Tensor:
    """Keys and values of all layers, [layers, ...]: a new layer has those of the next one."""
    numbers = [*range(stack.at), *[stack.at] * stack.count, *range(stack.at, len(tensor))]
    return tensor[numbers]


def more_numbers(content: dict[str, Any], stacks: tuple[Stack, ...]) -> dict[str, Any]:
    """Return the numbers beside recorded tensors with the keys of the new layers."""
    more = {
        name: [key for old in keys for key in _more_keys(old, stacks)]
        for name, keys in content.items()
        if name.endswith("_state_dict_keys")
    }
    if "table" in content:
        more["table"] = [row for old in content["table"] for row in _more_rows(*old, stacks)]
    return content | more


def _more_keys(key: str, stacks: tuple[Stack, ...]) -> list[str]:
    stack = _stack_of(key, stacks)
    if stack is None:
        return [key]
    before, number, behind = stack.place(key, stack.keys)
    new = range(stack.at, stack.at + stack.count) if number == stack.copied else ()
    return [f"{before}{one}{behind}" for one in (stack.moved(number), *new)]


def _more_rows(ours: str, theirs: str, stacks: tuple[Stack, ...]) -> list[tuple[str, str]]:
    """Of a table of which tensor of an encoder each of a DeltaLM is from."""
    (encoder, _), stack = stacks, _stack_of(ours, stacks)
    if stack is None:
        return [(ours, theirs)]
    keys = _more_keys(ours, stacks)
    before, source, behind = encoder.place(theirs, encoder.keys)
    each = encoder.count // stack.count
    sources = [encoder.moved(source), *(source + each * new for new in range(1, len(keys)))]
    return [(key, f"{before}{one}{behind}") for key, one in zip(keys, sources, strict=True)]
