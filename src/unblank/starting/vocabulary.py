"""An existing model and its vocabulary: whether a tokenizer is its own, and rows for another one.

A tokenizer is the model's own if its ids mean the same tokens, whatever its folder. Further tokens
after them get rows of their own. Any other vocabulary is refused, unless the run asks for it: then
rows follow their tokens (`unblank.tokenization.row_plan`).
"""

from pathlib import Path
from typing import Any

import torch
from rich.table import Table
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from unblank.engine.logging import Display
from unblank.families.family import Family
from unblank.families.settings import FamilySections
from unblank.models.initialization import draw_added_rows
from unblank.models.vocabulary_rows import replace_rows
from unblank.tokenization.identity import vocabulary_differences
from unblank.tokenization.row_plan import RowPlan, plan_rows
from unblank.tokenization.vocabulary import padded_vocab_size
from unblank.untrusted.opening import tokenizer_in

__all__ = ["check_vocabulary", "fit_vocabulary"]

_OF_THE_VOCABULARY = ("token_id", "token_ids", "tokenizer_size", "first_special_id")
"""Endings of the configuration fields that a vocabulary determines, besides its size."""


def check_vocabulary(
    tokenizer: PreTrainedTokenizerFast,
    given: Path,
    folder: Path,
    family: Family,
    *,
    is_wanted: bool,
    display: Display,
) -> None:
    """Refuse a tokenizer whose ids mean other tokens than a model's, or show how rows are mapped.

    Args:
        tokenizer: to train with.
        given: its folder.
        folder: of the model.
        family: of the model.
        is_wanted: whether the model is to get another vocabulary.
        display: where the table of the rows is shown.

    Raises:
        ValueError: it is another vocabulary, and that is not wanted.
    """
    own = _own_tokenizer(folder)
    if own is None:
        display.say(
            f"note: {folder} has no tokenizer, so it is not known whether the ids of {given} mean "
            "the tokens that the model has learned"
        )
        return
    differences = vocabulary_differences(tokenizer, own)
    if not differences:
        return
    if not is_wanted:
        raise ValueError(
            f"the tokenizer in {given} is not that of the model in {folder}: "
            f"{'; '.join(differences)}. Leave tokenizer.path out to use the model's own, or give "
            "the model this vocabulary with --tokenizer.transfer-rows"
        )
    display.show(_table(_plan(tokenizer, own, family)))


def fit_vocabulary(
    model: PreTrainedModel,
    folder: Path,
    tokenizer: PreTrainedTokenizerFast,
    family: Family,
    sections: FamilySections,
    seed: int,
) -> None:
    """Give a loaded model the rows that its tokenizer needs.

    Rows above the vocabulary are used first for further tokens. Their embeddings are drawn around
    the mean of the others; the old ones stay as they are.

    Args:
        model: of the folder; it is changed in place.
        folder: with the tokenizer that the model was trained with, or without any.
        tokenizer: that passed `check_vocabulary`.
        family: of the model.
        sections: of the family.
        seed: of new embeddings.
    """
    own = _own_tokenizer(folder)
    if own is None:
        return
    if vocabulary_differences(tokenizer, own):
        _replace_vocabulary(model, own, tokenizer, family, sections)
    elif len(tokenizer) > len(own):
        _add_rows(model, len(own), len(tokenizer), family, seed)


def _add_rows(
    model: PreTrainedModel, num_known: int, num_tokens: int, family: Family, seed: int
) -> None:
    config: Any = model.config
    before = config.tokenizer_size or num_known
    sources = [() if before <= row < num_tokens else (row,) for row in range(config.vocab_size)]
    num_rows = config.vocab_size
    if num_tokens > num_rows:
        num_rows = padded_vocab_size(num_tokens)
    replace_rows(model, sources, num_rows, before)
    config.tokenizer_size = num_tokens
    family.add_special_ids(config, range(before, num_tokens))
    table: Any = model.get_input_embeddings().weight
    draw_added_rows(table, before, num_tokens, config, seed)


def _replace_vocabulary(
    model: PreTrainedModel,
    own: PreTrainedTokenizerFast,
    tokenizer: PreTrainedTokenizerFast,
    family: Family,
    sections: FamilySections,
) -> None:
    sources = _plan(tokenizer, own, family).sources
    replace_rows(model, sources, padded_vocab_size(len(sources)), len(own))
    for name, value in family.new_fields(tokenizer, sections).items():
        if name.endswith(_OF_THE_VOCABULARY):
            setattr(model.config, name, value)
    if model.can_generate():  # its generation_config names tokens by their ids, too
        with torch.device("meta"):
            model.generation_config = type(model)(model.config).generation_config


def _plan(
    tokenizer: PreTrainedTokenizerFast, own: PreTrainedTokenizerFast, family: Family
) -> RowPlan:
    return plan_rows(tokenizer, own, family.special_ids(tokenizer), family.special_ids(own))


def _table(plan: RowPlan) -> Table:
    table = Table(title="rows of the new vocabulary", title_justify="left")
    table.add_column("from")
    table.add_column("tokens", justify="right")
    for name, count in (
        ("the same token", plan.num_kept),
        ("the mean of its pieces", plan.num_from_pieces),
        ("the mean of all, as it cannot be spelt", plan.num_from_all),
    ):
        table.add_row(name, f"{count:,}")
    return table


def _own_tokenizer(folder: Path) -> PreTrainedTokenizerFast | None:
    if not (folder / "tokenizer.json").is_file():
        return None
    return tokenizer_in(folder)
