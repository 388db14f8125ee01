"""The first weights of every model, all in one place.

Biases start at 0 and LayerNorms at 1. The rest is drawn by where a weight is, with the standard
deviation s = `initializer_range`:

| what                        | how it starts                                                      |
| --------------------------- | ------------------------------------------------------------------ |
| GLM and ELECTRA, with heads | N(0, s^2)                                                          |
| - o_proj, down_proj         | the same / sqrt(2 layers), as in GPT-2 and GLM                     |
| DeltaLM and GanLM           | N(0, s^2): embeddings, encoder, relative bias, heads               |
| - o_proj, down_proj         | the same / sqrt(2 l) in layer l, from 1, as in the program         |
| - decoder, discriminator    | Xavier's uniform rule, as in fairseq; positions N(0, 1 / width)    |
| -- q_proj, k_proj, v_proj   | the same / sqrt(2)                                                 |
| -- o_proj, down_proj        | the same / sqrt(2 l) in layer l, from 1                            |
| DeltaLM of an encoder       | a copy (`models.deltalm.from_encoder`); what is left, as above     |
| embeddings, if so asked     | from the co-occurrence of tokens (`models.cooccurrence`)           |
| first heads, if so asked    | look at neighbours; positions are waves (`models.neighbours`)      |
| tokens added later          | the mean of all other embeddings + N(0, s^2)                       |
| tokens of a new vocabulary  | the mean of their pieces (`models.vocabulary_rows`)                |
| tags that conversion adds   | N(0, 1 / width), as their authors drew them                        |
| prompt vectors              | embeddings of drawn words                                          |
| - before an encoder         | N(0, 1); the encoder as torch starts it                            |
| deep prompts                | keys and values that the model computes for drawn words            |
| LoRA                        | by PEFT: one factor by Kaiming's rule, the other 0                 |

The rules of stacks are `GLM_STACK`, `ENCODER` and `DECODER`. A layer marks the matrices that start
smaller than others by making them `Projection`s. Weights that are loaded are left alone.

Shapes: `V` rows of the vocabulary, `N` new rows or vectors, `D` width.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import initialization as init

__all__ = [
    "DECODER",
    "ENCODER",
    "GLM_STACK",
    "Projection",
    "StackStart",
    "draw_added_rows",
    "draw_prompt",
    "draw_tag_rows",
    "draw_weights",
    "draw_words",
]


class Projection(nn.Linear):
    """A linear layer that knows more about its weights than their shape.

    transformers initialises each module without saying where in the model it is, and an optimiser
    sees only matrices; so the layer carries what they need to know.

    Attributes:
        gain: how many times as large as those of others the first weights are.
        num_parts: matrices that stand one above the other in the weights, such as those of heads.
    """

    def __init__(
        self, in_features: int, out_features: int, gain: float = 1.0, num_parts: int = 1
    ) -> None:
        super().__init__(in_features, out_features)
        self.gain = gain
        self.num_parts = num_parts


@dataclass(frozen=True, slots=True, kw_only=True)
class StackStart:
    """How the weights of one kind of stack start.

    Attributes:
        std: configuration -> standard deviation of tables, and of matrices unless Xavier's.
        is_xavier: whether matrices are drawn by Xavier's rule, at any width.
        input_gain: factor of the projections to queries, keys and values.
        output_gain: (layer from 0, layers) -> factor of the matrices that end a residual branch.
    """

    std: Callable[[Any], float]
    is_xavier: bool
    input_gain: float
    output_gain: Callable[[int, int], float]


def _configured(config: Any) -> float:
    std: float = config.initializer_range
    return std


def _by_width(config: Any) -> float:
    std: float = config.hidden_size**-0.5
    return std


def _by_depth(layer_idx: int, num_layers: int) -> float:
    return 1 / math.sqrt(2 * num_layers)


def _by_place(layer_idx: int, num_layers: int) -> float:
    return 1 / math.sqrt(2 * (layer_idx + 1))


GLM_STACK = StackStart(std=_configured, is_xavier=False, input_gain=1.0, output_gain=_by_depth)
ENCODER = StackStart(std=_configured, is_xavier=False, input_gain=1.0, output_gain=_by_place)
DECODER = StackStart(std=_by_width, is_xavier=True, input_gain=2**-0.5, output_gain=_by_place)


def draw_weights(module: nn.Module, start: StackStart, config: Any) -> None:
    """Draw the weights of one module from torch's generator.

    Args:
        module: one that holds weights itself; others stay as they are.
        start: of the stack that it is part of.
        config: of the model.
    """
    if isinstance(module, nn.Linear | nn.Embedding):
        init.normal_(module.weight, mean=0.0, std=start.std(config) * _gain(module))
    if isinstance(module, nn.Linear) and module.bias is not None:
        init.zeros_(module.bias)
    if isinstance(module, nn.LayerNorm):
        init.ones_(module.weight)
        init.zeros_(module.bias)
    # A second draw over the first, not in its place: a seed must keep giving the same weights.
    if isinstance(module, nn.Linear) and start.is_xavier:
        init.xavier_uniform_(module.weight, gain=_gain(module))


@torch.no_grad()
def draw_added_rows(table_VD: Tensor, before: int, after: int, config: Any, seed: int) -> None:
    """Draw the embeddings of tokens that were added to a vocabulary.

    Args:
        table_VD: the embedding table; its rows from `before` to `after` are changed.
        before: tokens that have embeddings.
        after: tokens that need them.
        config: of the model.
        seed: of the draw.
    """
    generator = torch.Generator().manual_seed(seed)
    noise_ND = torch.randn(after - before, table_VD.shape[1], generator=generator)
    # At the mean of the others, new tokens get average logits and disturb the softmax little.
    mean_D = table_VD[:before].mean(dim=0)
    table_VD[before:after] = mean_D + noise_ND * _configured(config)


def draw_tag_rows(count: int, width: int) -> Tensor:
    """Return float[N, D], always the same ones: embeddings of tags that a checkpoint lacks.

    Args:
        count: N.
        width: D.
    """
    generator = torch.Generator().manual_seed(0)
    # Always the same ones, so that a converted folder is a function of its source.
    rows_ND = torch.randn((count, width), generator=generator)
    return rows_ND * float(width**-0.5)


def draw_words(config: Any, count: int, seed: int) -> Tensor:
    """Return int64[N], ids of words of a vocabulary, special tokens left out.

    Args:
        config: of the model.
        count: N.
        seed: of the draw.
    """
    special = {value for name, value in vars(config).items() if name.endswith("_token_id")}
    words = [i for i in range(config.tokenizer_size or config.vocab_size) if i not in special]
    generator = torch.Generator().manual_seed(seed)
    return torch.tensor(words)[torch.randint(len(words), (count,), generator=generator)]


def draw_prompt(
    length: int, width: int, make_encoder: Callable[[int], nn.Module], seed: int
) -> tuple[Tensor, nn.Module]:
    """Return float[N, D], parameters of a prompt, and the encoder that makes vectors of them.

    Args:
        length: N.
        width: D.
        make_encoder: width -> encoder, which torch initialises.
        seed: of both; torch's own generator is left as it was.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return torch.randn(length, width), make_encoder(width)


def _gain(module: nn.Module) -> float:
    return module.gain if isinstance(module, Projection) else 1.0
