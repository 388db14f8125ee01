"""Deep prompts (P-tuning v2): trained keys and values in every layer, before those of the tokens.

Every query of every packed segment and branch sees them (`models.masks.with_prompt_keys`), Part A
as well as Part B. They take no positions and never enter a cache.

Shapes: `L` layers, `N` prompt vectors, `D` width, `B` rows, `H` heads, `S` keys, `K` head width.
"""

from typing import Any

import torch
from torch import Tensor, nn

from unblank.models.initialization import draw_words
from unblank.prompting.soft import require_glm

__all__ = ["attach_deep_prompt", "deep_prompt_of_states", "new_deep_prompt"]


class _LayerPrompt(nn.Module):
    """The keys and values of one layer, float[2, N, D]."""

    def __init__(self, keys_values_2ND: Tensor) -> None:
        super().__init__()
        self.keys_values = nn.Parameter(keys_values_2ND)

    def forward(self, key_BHSK: Tensor, value_BHSK: Tensor) -> tuple[Tensor, Tensor]:
        """Return the keys and values with those of the prompt in front, [B, H, N + S, K]."""
        rows, heads, _, width = key_BHSK.shape
        prompt = self.keys_values.to(key_BHSK.dtype).unflatten(-1, (heads, width))
        keys_HNK, values_HNK = prompt.transpose(1, 2)
        return (
            torch.cat([keys_HNK.expand(rows, -1, -1, -1), key_BHSK], dim=2),
            torch.cat([values_HNK.expand(rows, -1, -1, -1), value_BHSK], dim=2),
        )


@torch.no_grad()
def new_deep_prompt(model: Any, length: int, seed: int) -> Tensor:
    """Return float32[L, 2, N, D] to start from: the keys and values of words drawn by the seed.

    What a layer computes for real words is near to what it can use; random numbers are not.

    Args:
        model: a GLM, with or without a head.
        length: vectors of each layer.
        seed: of the words.

    Raises:
        ValueError: a model that is not a GLM, or a length outside its positions.
    """
    require_glm(model.config, "a deep prompt")
    longest = model.config.max_position_embeddings
    if not 0 < length <= longest:
        raise ValueError(f"a deep prompt has 1 to {longest} vectors here, not {length}")
    words_1N = draw_words(model.config, length, seed)[None].to(model.device)
    was_training = model.training
    cache = model.eval().base_model(words_1N, use_cache=True).past_key_values
    model.train(was_training)
    # Each is [1, H, N, K].
    layers = [torch.stack([layer.keys[0], layer.values[0]]) for layer in cache.layers]
    return torch.stack(layers).transpose(2, 3).flatten(-2).float().clone()


@torch.no_grad()
def deep_prompt_of_states(model: Any, states_LND: Tensor) -> Tensor:
    """Return float32[L, 2, N, D], the keys and values that layers make of trained states.

    MultiGLM trains vectors that pass through each layer's projection, without its LayerNorm; a
    layer then sees just these keys and values.

    Args:
        model: a GLM.
        states_LND: one [N, D] for each layer.
    """
    layers = zip(model.base_model.layers, states_LND.to(model.device), strict=True)
    projected = [layer.self_attn.qkv_proj(states_ND) for layer, states_ND in layers]
    return torch.stack([torch.stack(qkv.chunk(3, dim=-1)[1:]) for qkv in projected]).float()


def attach_deep_prompt(model: Any, keys_values_L2ND: Tensor) -> None:
    """Put trained keys and values into every layer of a GLM, with or without a head.

    Raises:
        ValueError: if they were made for another shape.
    """
    body, shape = model.base_model, list(keys_values_L2ND.shape)
    length = shape[2] if len(shape) == 4 else 1
    expected = [len(body.layers), 2, length, model.config.hidden_size]
    if shape != expected:
        raise ValueError(
            f"a deep prompt of shape {shape} does not fit this model, which needs {expected}: "
            "layers, keys and values, vectors, width"
        )
    for layer, keys_values_2ND in zip(body.layers, keys_values_L2ND, strict=True):
        layer.self_attn.prompt = _LayerPrompt(keys_values_2ND.clone()).to(model.device)
    body.num_prompt_keys = keys_values_L2ND.shape[2]
