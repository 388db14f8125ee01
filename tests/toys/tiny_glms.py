"""Tiny random GLMs with tokenizers made for them."""

import copy
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from unblank.api import Unblank
from unblank.models import GlmInfillConfig, GlmInfillForConditionalGeneration
from unblank.tokenization import special_ids
from unblank.tokenization.special import add_sentinels
from unblank.tokenization.train import train_tokenizer

TASK_TEXT = (
    "Yes or No: the cat sat on a mat, so the dog ran. Maybe it is true, false, good or bad? "
)
"""Holds the words that the library's tasks put into blanks."""


def tiny_glm(
    texts: Sequence[str],
    *,
    kind: str = "bpe",
    vocab_size: int = 400,
    num_unused: int = 0,
    seed: int = 3,
    **fields: Any,
) -> Unblank:
    """Return a GLM of two layers whose tokenizer knows the words of some texts."""
    with warnings.catch_warnings(action="ignore"):  # the texts are smaller than the vocabulary
        tokenizer = train_tokenizer(texts, kind=kind, vocab_size=vocab_size, show_progress=False)
    ids = asdict(special_ids(tokenizer))
    small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = GlmInfillConfig(
        vocab_size=len(tokenizer) + num_unused,
        tokenizer_size=len(tokenizer),
        **{f"{role}_token_id": given for role, given in ids.items() if isinstance(given, int)},
        **(small | fields),
    )
    torch.manual_seed(seed)
    return Unblank(GlmInfillForConditionalGeneration(config), tokenizer)


def task_glm(kind: str = "bpe", max_positions: int = 128, text: str = TASK_TEXT) -> Unblank:
    """Return a GLM without dropout that answers the library's tasks, badly."""
    return tiny_glm(
        [text] * 30,
        kind=kind,
        max_position_embeddings=max_positions,
        initializer_range=0.3,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )


def with_sentinels(given: Unblank) -> Unblank:
    """Return another GLM like this one, whose tokenizer has sentinels."""
    tokenizer = copy.deepcopy(given.tokenizer)
    add_sentinels(tokenizer, 20)
    config = copy.deepcopy(given.model.config)
    config.vocab_size = config.tokenizer_size = len(tokenizer)
    torch.manual_seed(4)
    return Unblank(type(given.model)(config).eval(), tokenizer)


def write_folder(given: Unblank, folder: Path) -> Path:
    """Write the model and its tokenizer into a folder, and return it."""
    given.model.save_pretrained(folder)
    given.tokenizer.save_pretrained(folder)
    return folder
