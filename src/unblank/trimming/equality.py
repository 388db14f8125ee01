"""The proof that a trimmed model is the same model: tokens and outputs on text of kept tokens.

Shapes: `T` tokens, `V` rows of the vocabulary, `N` kept tokens.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerFast

from unblank import models
from unblank.deferred_values import DeferredValues
from unblank.integrity import weights_files
from unblank.tokenization.encoding import encode_texts
from unblank.trimming.vocabulary import unknown_id
from unblank.trimming.weights_in_use import WeightsInUse
from unblank.untrusted.json_text import read_json_object
from unblank.untrusted.opening import model_in

__all__ = ["NUM_COMPARED", "largest_difference", "require_same_tokens"]

NUM_COMPARED = 32
"""Number of texts that go through both models."""

_NUM_TOKENS = 128
_TOLERANCE = 1e-4
"""Tolerance of float32 outputs, relative to the largest: products of other shapes round
differently."""


def require_same_tokens(
    texts: Sequence[str],
    before: PreTrainedTokenizerFast,
    after: PreTrainedTokenizerFast,
    new_ids: dict[int, int],
) -> list[list[int]]:
    """Return the old ids of the texts whose tokens are all kept, which must be cut as before.

    Args:
        texts: any texts.
        before: the old tokenizer.
        after: the trimmed one.
        new_ids: old id -> new id of every kept token.

    Raises:
        ValueError: such a text is cut in another way.
    """
    same: list[list[int]] = []
    unknown = unknown_id(json.loads(before.backend_tokenizer.to_str()))
    new_encodings = encode_texts(after, texts, warn_on_unknown=False)
    for text, old, new in zip(
        texts, encode_texts(before, texts, warn_on_unknown=False), new_encodings, strict=True
    ):
        if not old or any(token_id not in new_ids for token_id in old):
            continue
        if unknown in old:  # what is unknown may be spelt otherwise
            continue
        if [new_ids[token_id] for token_id in old] != new:
            raise ValueError(
                f"the tokenizer cannot be trimmed: {text[:60]!r} has kept tokens only, but is "
                "split otherwise without the dropped ones"
            )
        same.append(old)
    return same


def largest_difference(
    before: Path, after: Path, texts: Sequence[Sequence[int]], new_ids: dict[int, int]
) -> tuple[float, int]:
    """Return the largest difference of outputs over the kept tokens, and how many were compared.

    Args:
        before: folder of the old model.
        after: folder of the trimmed one.
        texts: old ids of texts whose tokens are all kept.
        new_ids: old id -> new id of every kept token.

    Raises:
        ValueError: the outputs differ by more than rounding.
    """
    (old_model, old_weights), (new_model, new_weights) = _load(before), _load(after)
    kept = torch.tensor(list(new_ids))
    most, scale, num_compared = 0.0, 1.0, 0
    length = min(_NUM_TOKENS, old_model.config.max_position_embeddings)
    for ids in texts:
        old_ids = torch.tensor([list(ids[:length])])
        mapped = torch.tensor([[new_ids[int(token_id)] for token_id in old_ids[0]]])
        with torch.no_grad(), old_weights:
            old_outputs = old_model.text_outputs(old_ids).values()
        with torch.no_grad(), new_weights:
            new_outputs = new_model.text_outputs(mapped).values()
        for old, new in zip(old_outputs, new_outputs, strict=True):
            if old.shape[-1] == old_model.config.vocab_size:
                old, new = old[..., kept], new[..., : len(new_ids)]
            most = max(most, (old - new).abs().max().item())
            scale = max(scale, old.abs().max().item())
            num_compared += new.numel()
    if not most <= _TOLERANCE * scale:
        raise ValueError(
            f"the outputs of the trimmed model differ by up to {most:.2g}: nothing was written"
        )
    return most, num_compared


def _load(folder: Path) -> tuple[Any, WeightsInUse]:
    """Return the model of a folder, and what gives it its weights: a file of them is kept."""
    (name, *_) = read_json_object(folder / "config.json").get("architectures") or ("none",)
    kind: Any = getattr(models, name, None)
    if kind is None:
        raise ValueError(
            f"{folder / 'config.json'} names {name}, which is not a model of this library"
        )
    values = DeferredValues()
    with torch.random.fork_rng(), values:
        torch.manual_seed(0)  # a head that no one has trained yet starts alike in both models
        model, _ = model_in(folder, kind, dtype=torch.float32)
        makers = values.makers_of(model)
    largest = max(path.stat().st_size for path in weights_files(folder))
    return model.eval(), WeightsInUse(makers, most_kept=largest)
