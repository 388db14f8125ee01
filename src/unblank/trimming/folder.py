"""Writing the smaller model: rows of the vocabulary cut from the weights, ids renumbered.

Shard by shard, so that no more than one file of weights is in memory.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from unblank.integrity import weights_files
from unblank.models.finite import require_finite
from unblank.models.vocabulary_rows import VOCABULARY_TABLES
from unblank.untrusted.json_text import read_json_object
from unblank.untrusted.weight_files import INDEX_NAME, opened_weights

__all__ = ["row_order", "trimmed_config", "write_tokenizer", "write_weights"]


def row_order(
    kept_ids: Sequence[int], tokenizer_size: int, vocab_size: int, rows: int
) -> list[int]:
    """Return which old row each new row is: those of the kept tokens, then padding up to `rows`.

    Padding rows are old ones too, first those that were padding already, then those of dropped
    tokens: a new row of zeros would take probability from every token.

    Args:
        kept_ids: in ascending order.
        tokenizer_size: tokens of the old tokenizer, the old padding rows come after them.
        vocab_size: old number of rows.
        rows: new number of rows wanted; fewer if the old table has no more.
    """
    kept = set(kept_ids)
    spare = [*range(tokenizer_size, vocab_size), *range(tokenizer_size)]
    free = [row for row in spare if row not in kept]
    return [*kept_ids, *free[: rows - len(kept_ids)]]


def trimmed_config(
    settings: dict[str, Any], new_ids: dict[int, int], num_rows: int
) -> dict[str, Any]:
    """Return the settings of a `config.json` or `generation_config.json`, ids renumbered.

    Args:
        settings: of the old file.
        new_ids: old id -> new id of every kept token, in ascending order.
        num_rows: of the new table.

    Raises:
        ValueError: the settings name an id that the tokenizer has no token for.
    """
    changed = dict(settings)
    for name, value in settings.items():
        if value is None or not name.endswith(("token_id", "token_ids")):
            continue
        ids = value if isinstance(value, list) else [value]
        unknown = [old for old in ids if old not in new_ids]
        if unknown:
            raise ValueError(f"{name} is {value}, but the tokenizer has no token {unknown[0]}")
        new = [new_ids[old] for old in ids]
        changed[name] = new if isinstance(value, list) else new[0]
    if "vocab_size" in settings:
        changed |= {"vocab_size": num_rows, "tokenizer_size": len(new_ids)}
    if settings.get("first_special_id") is not None:  # a border, not a token
        border = settings["first_special_id"]
        changed["first_special_id"] = sum(old < border for old in new_ids)
    return changed


def write_tokenizer(
    tokenizer: PreTrainedTokenizerFast, content: dict[str, Any], folder: Path
) -> None:
    """Write the files of a tokenizer whose `tokenizer.json` has become `content`.

    Args:
        tokenizer: the old one; its other settings are kept.
        content: of the new `tokenizer.json`.
        folder: to write to.
    """
    tokenizer.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(
        json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8"
    )
    path = folder / "tokenizer_config.json"
    settings = read_json_object(path)
    settings.pop("added_tokens_decoder", None)  # old ids; they are in tokenizer.json
    settings["tokenizer_class"] = "TokenizersBackend"  # others would build their own vocabulary
    path.write_text(json.dumps(settings, ensure_ascii=False, indent=1), encoding="utf-8")


def write_weights(source: Path, folder: Path, order: Sequence[int], vocab_size: int) -> None:
    """Write the weights of `source` with the rows `order` of every table of the vocabulary.

    Args:
        source: folder with safetensors, one file or several with an index.
        folder: to write to, under the same names.
        order: old rows in their new order.
        vocab_size: old number of rows.

    Raises:
        ValueError: a table with another number of rows, or none at all; weights that are not
            finite.
    """
    rows = torch.tensor(order)
    num_tables, num_bytes, num_parameters = 0, 0, 0
    for path in weights_files(source):
        tensors: dict[str, Tensor] = {}
        with opened_weights(path) as file:
            for name in file.keys():  # noqa: SIM118
                tensor = file.get_tensor(name)
                require_finite([(name, tensor)], source)
                if name.endswith(VOCABULARY_TABLES):
                    _require_rows(name, tensor, vocab_size)
                    tensor = tensor[rows]
                    num_tables += 1
                tensors[name] = tensor.contiguous()
                num_bytes += tensor.nbytes
                num_parameters += tensor.numel()
        save_file(tensors, folder / path.name, metadata={"format": "pt"})
    if not num_tables:
        raise ValueError(f"the weights in {source} have no embed_tokens.weight to cut rows from")
    if (source / INDEX_NAME).is_file():
        index = read_json_object(source / INDEX_NAME)
        index["metadata"] = {"total_parameters": num_parameters, "total_size": num_bytes}
        (folder / INDEX_NAME).write_text(json.dumps(index, indent=1), encoding="utf-8")


def _require_rows(name: str, tensor: Tensor, vocab_size: int) -> None:
    if tensor.shape[0] != vocab_size:
        raise ValueError(
            f"{name} has {tensor.shape[0]} rows, but config.json has vocab_size {vocab_size}"
        )
