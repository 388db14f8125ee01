"""A converted folder without a vocabulary gets its tokenizer, without converting again.

The vocabulary is checked against the weights as in a conversion. The folder is replaced as a whole,
so that an interruption leaves it as it was; weights are linked, not copied, where that is possible.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from unblank.atomic_folders import new_folder
from unblank.conversion.fairseq_vocabulary import fit_rows
from unblank.conversion.glm_vocabulary import FittedTokenizer, fit_tokenizer
from unblank.conversion.options import ConvertOptions
from unblank.conversion.plan import copied
from unblank.conversion.provenance import write_provenance
from unblank.conversion.source import Source, open_source
from unblank.integrity import PROVENANCE_NAME, find_damage, read_record
from unblank.model_card import write_card
from unblank.untrusted.opening import config_in

__all__ = ["complete"]

_TABLE = "model.embed_tokens.weight"
_TRANSFORMERS_SETTINGS = "config.json"


def complete(
    folder: Path, vocabulary: Path, *, language_tags: Sequence[str] = ()
) -> FittedTokenizer:
    """Give a converted folder the tokenizer of a vocabulary; return what was given.

    Args:
        folder: as `convert` wrote it, without a tokenizer.
        vocabulary: file, or folder with it, as for `convert`.
        language_tags: tokens after all others, as for `convert`.

    Raises:
        FileNotFoundError: no such folder or vocabulary.
        ValueError: not a converted folder, one that has a tokenizer, damaged files, or a vocabulary
            that does not belong to the weights.
    """
    record = _record(folder)
    found = _FITTING[str(record.get("family"))](folder, record, vocabulary, tuple(language_tags))
    config = config_in(folder)
    for name, value in found.fields.items():
        setattr(config, name, value)
    options = record.get("options")
    changed = {
        **record,
        "tokenizer": found.facts,
        "traps": [*record.get("traps", ()), *found.traps],
        "options": {**(options if isinstance(options, dict) else {}),
                    "language_tags": list(language_tags)},
    }  # fmt: skip
    recorded = changed.pop("files", {})
    with new_folder(folder, replace=True) as staging:
        for name in recorded:
            _link_weights(str(folder / name), str(staging / name))
        config.save_pretrained(staging)
        found.tokenizer.save_pretrained(staging)
        write_provenance(staging, changed)
        # Only now, as the record is of the model alone: what else a person keeps there.
        shutil.copytree(
            folder,
            staging,
            ignore=lambda _, names: {PROVENANCE_NAME, *recorded}.intersection(names),
            dirs_exist_ok=True,
        )
        write_card(staging, changed)
    return found


def _record(folder: Path) -> dict[str, Any]:
    """Return the provenance of a folder that can be completed."""
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    if (folder / "tokenizer.json").is_file():
        raise ValueError(f"{folder} has a tokenizer: nothing is missing")
    record = read_record(folder / PROVENANCE_NAME) if (folder / PROVENANCE_NAME).is_file() else {}
    if record.get("program") != "unblank convert" or record.get("family") not in _FITTING:
        raise ValueError(
            f"{folder} was not made by unblank convert: only a folder that it made can be completed"
        )
    if damage := find_damage(folder, PROVENANCE_NAME):
        raise ValueError(f"{folder} is damaged ({damage}): convert the checkpoint again")
    return record


def _fit_glm(
    folder: Path, record: dict[str, Any], vocabulary: Path, language_tags: Sequence[str]
) -> FittedTokenizer:
    if language_tags:
        raise ValueError("language tags belong to encoder-decoders: leave them out for a GLM")
    source = _source(folder, record)
    table = copied(_TABLE, _TABLE, source.state_dicts[0][_TABLE])
    fitted = fit_tokenizer(source, vocabulary, table)
    assert fitted is not None  # a vocabulary was named
    return fitted


def _fit_encoder_decoder(
    folder: Path, record: dict[str, Any], vocabulary: Path, language_tags: Sequence[str]
) -> FittedTokenizer:
    options = ConvertOptions(tokenizer=vocabulary, language_tags=tuple(language_tags))
    num_rows = int(config_in(folder).vocab_size)
    has_mask = record.get("family") == "xlmr"
    fitted = fit_rows(_source(folder, record), options, num_rows, has_mask=has_mask)
    if fitted.num_new:
        raise ValueError(
            f"{fitted.num_new} of the language tags need new rows of the embedding table: convert "
            "the checkpoint again, with --tokenizer and --language-tags"
        )
    if fitted.tokenizer is None:
        raise ValueError("; ".join(fitted.traps) or f"{vocabulary} has no vocabulary")
    return FittedTokenizer(
        tokenizer=fitted.tokenizer, fields=fitted.fields, facts=fitted.facts, traps=fitted.traps
    )


_FITTING: dict[str, Callable[[Path, dict[str, Any], Path, Sequence[str]], FittedTokenizer]] = {
    "glm": _fit_glm,
    "multiglm": _fit_glm,
    "deltalm": _fit_encoder_decoder,
    "ganlm": _fit_encoder_decoder,
    "xlmr": _fit_encoder_decoder,
}
"""Family, as the conversion found it -> how a vocabulary is fitted to its weights."""


def _source(folder: Path, record: dict[str, Any]) -> Source:
    """Return the converted folder as the checkpoint that it was made of, pieces and settings."""
    of_source = record.get("source")
    files = of_source.get("files", {}) if isinstance(of_source, dict) else {}
    num_pieces = max(sum(name.startswith("mp_rank_") for name in files), 1)
    opened = open_source(folder)
    return replace(
        opened,
        state_dicts=opened.state_dicts * num_pieces,
        settings=opened.settings if _TRANSFORMERS_SETTINGS in files else None,
    )


def _link_weights(source: str, target: str) -> None:
    """Link a file of weights, which nobody will write to, and copy any other."""
    if source.endswith(".safetensors"):
        with suppress(OSError):
            os.link(source, target)
            return
    shutil.copy2(source, target)
