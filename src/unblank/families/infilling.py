"""What the families on GLM's stack have in common: packed rows and one set of special tokens."""

from typing import Any

from transformers import PreTrainedTokenizerFast

from unblank.data.sampling import Objective
from unblank.families.family import LoraTargets
from unblank.families.settings import FamilySections
from unblank.objectives.mixture import build_objective, objective_shares
from unblank.tokenization.special import SPECIAL_TOKENS, SpecialIds, special_ids
from unblank.tokenization.vocabulary import padded_vocab_size

__all__ = [
    "INFILLING_LORA_TARGETS",
    "infilling_objective",
    "infilling_shares",
    "new_infilling_fields",
]

_ATTENTION = ("qkv_proj", "o_proj")

INFILLING_LORA_TARGETS: dict[LoraTargets, tuple[str, ...]] = {
    "attention": _ATTENTION,
    "all": (*_ATTENTION, "up_proj", "down_proj"),
}
"""Linear layers that get adapters."""


def infilling_objective(
    sections: FamilySections,
    special: SpecialIds,
    sentence_end: Any,
    max_length: int,
    language_id: int | None,
) -> Objective[Any]:
    """Return the mixture of the section `objective`; texts of all languages are treated alike."""
    return build_objective(sections.objective, special, sentence_end, max_length)


def infilling_shares(sections: FamilySections) -> dict[str, float]:
    """Return objective name -> share of the samples."""
    return objective_shares(sections.objective)


def new_infilling_fields(
    tokenizer: PreTrainedTokenizerFast, sections: FamilySections
) -> dict[str, Any]:
    """Return the fields of a new configuration that vocabulary and objective decide."""
    ids, size = special_ids(tokenizer), len(tokenizer)
    names = {f"{role}_token_id": getattr(ids, role) for role in SPECIAL_TOKENS}
    return {
        "vocab_size": padded_vocab_size(size),
        "tokenizer_size": size,
        "block_position_encoding": sections.objective.block_positions,
        **names,
    }
