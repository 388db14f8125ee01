"""Prompt tuning: trained vectors that stand in Part A like words, before a frozen GLM.

The vectors have ids of their own, beyond the embedding table. They are written after [CLS] of
every Part A, where the original puts its prefix prompt: they take positions, every token sees them,
and packing, candidates and decoding need to know nothing about them.

While they are trained an encoder may come between the parameters and the vectors (P-tuning); only
its output is exported. Folders are in `unblank.adapters.prompts`, prompts in every layer in
`soft_deep`.

Shapes: `B` rows, `T` tokens, `N` prompt vectors, `D` width.
"""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from unblank.families.table import family_of_model
from unblank.models.initialization import draw_prompt, draw_words

__all__ = ["SoftPrompt", "attach_soft_prompt", "new_soft_prompt", "require_glm"]

EncoderName = Literal["none", "lstm", "mlp"]


class _LstmEncoder(nn.Module):
    """Two bidirectional LSTM layers over the prompt, then two linear layers with ReLU between."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.lstm_head = nn.LSTM(width, width, num_layers=2, bidirectional=True, batch_first=True)
        self.mlp_head = nn.Sequential(
            nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, width)
        )

    def forward(self, vectors_ND: Tensor) -> Tensor:
        """Return the encoded prompt, [N, D]."""
        encoded: Tensor = self.mlp_head(self.lstm_head(vectors_ND[None])[0])[0]
        return encoded


class _MlpEncoder(nn.Module):
    """Two linear layers with ReLU between, over each vector alone."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp_head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, vectors_ND: Tensor) -> Tensor:
        """Return the encoded prompt, [N, D]."""
        encoded: Tensor = self.mlp_head(vectors_ND)
        return encoded


ENCODERS: dict[EncoderName, Callable[[int], nn.Module]] = {
    "none": lambda width: nn.Identity(),
    "lstm": _LstmEncoder,
    "mlp": _MlpEncoder,
}
"""The modules between parameters and vectors, with the names and shapes of the original."""


class SoftPrompt(nn.Module):
    """The embedding of a GLM whose ids from `first_id` on are prompt vectors.

    Args:
        first_id: id of the first vector, the rows of the model's embedding table.
        vectors_ND: float[N, D], where the parameters start.
        encoder: makes the vectors from the parameters, [N, D] to [N, D].
    """

    def __init__(self, first_id: int, vectors_ND: Tensor, encoder: nn.Module) -> None:
        super().__init__()
        self.first_id = first_id
        self.vectors = nn.Parameter(vectors_ND)
        self.encoder = encoder

    def __len__(self) -> int:
        """Return the number of vectors."""
        return len(self.vectors)

    def encoded(self) -> Tensor:
        """Return the vectors as they stand in Part A, float[N, D]."""
        encoded: Tensor = self.encoder(self.vectors)
        return encoded

    def forward(self, input_ids: Tensor, words: nn.Embedding) -> Tensor:
        """Return the embeddings of words and prompt vectors.

        Args:
            input_ids: int64[B, T], ids of the table or of this prompt.
            words: the model's own table.

        Returns:
            float[B, T, D].
        """
        is_prompt = input_ids >= self.first_id
        embedded_BTD: Tensor = words(input_ids.masked_fill(is_prompt, 0))
        vectors_ND = self.encoded().to(embedded_BTD.dtype)
        prompted_BTD = vectors_ND[(input_ids - self.first_id).clamp(min=0)]
        return torch.where(is_prompt[..., None], prompted_BTD, embedded_BTD)


def new_soft_prompt(model: Any, length: int, encoder: EncoderName, seed: int) -> SoftPrompt:
    """Return a prompt to be trained before `model`.

    Without an encoder the vectors start as words of the vocabulary drawn by the seed; with one, the
    parameters start as torch starts them, as in the original.

    Args:
        model: a GLM, with or without a head.
        length: vectors.
        encoder: "none", "lstm" or "mlp".
        seed: of the start.

    Raises:
        ValueError: a model that is not a GLM, or whose positions the prompt would use up.
    """
    require_glm(model.config, "prompt tuning")
    longest = model.config.max_position_embeddings
    if not 0 < length <= longest // 2:
        raise ValueError(
            f"a prompt of {length} vectors does not fit a model of {longest} positions, as they "
            f"take up positions of Part A: give 1 to {longest // 2}"
        )
    table = model.base_model.embed_tokens.weight
    vectors_ND, made = draw_prompt(length, table.shape[1], ENCODERS[encoder], seed)
    if encoder == "none":
        vectors_ND = table.detach()[draw_words(model.config, length, seed)].float().clone()
    return SoftPrompt(model.config.vocab_size, vectors_ND, made)


def attach_soft_prompt(model: Any, prompt: SoftPrompt) -> None:
    """Let a GLM, with or without a head, embed the ids of a prompt.

    Part A gets these ids where its tokenizer knows of them, see `tokenization.special.give_prompt`.

    Raises:
        ValueError: its vectors were made for a model of another width.
    """
    width, shape = model.base_model.embed_tokens.weight.shape[1], list(prompt.vectors.shape)
    if len(shape) != 2 or shape[1] != width:
        raise ValueError(
            f"a prompt of shape {shape} does not fit this model, which needs vectors of width "
            f"{width}"
        )
    model.base_model.soft_prompt = prompt.to(model.device)


def require_glm(config: Any, method: str) -> None:
    """Raise ValueError unless a configuration is that of a GLM: prompts are made for it."""
    if not family_of_model(config).takes_prompts:
        raise ValueError(
            f"{method} supports GLM, not {config.model_type!r}: an encoder-decoder has no Part A "
            "in which both source and target see a prompt. Use --method lora"
        )
