"""Options of converting: what only the user can know. Standard library alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from unblank.settings.choices import DType
from unblank.settings.ranges import Positive, check_values, minimum

__all__ = [
    "ConvertOptions",
    "FamilyChoice",
    "FfnOrder",
    "Part",
    "parse_size",
]

FamilyChoice = Literal["auto", "glm", "multiglm", "deltalm", "ganlm", "xlmr"]
FfnOrder = Literal["current", "first-release"]
Part = Literal["all", "generator", "discriminator"]

FIRST_ROWS = 4
"""Rows that every encoder-decoder needs."""
_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9}


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvertOptions:
    """What the checkpoint does not say, or should become."""

    family: FamilyChoice = "auto"
    """Model family; auto recognises it by the keys and shapes of the weights."""

    tokenizer: Path | None = None
    """Vocabulary file, or folder with it: vocab.txt, vocab.json + merges.txt, a SentencePiece
    model, dict.txt + spm.model. Default: searched for beside the weights."""

    dtype: DType | None = None
    """Data type of the written weights. Default: as stored."""

    num_attention_heads: Positive[int | None] = None
    """Heads per layer, which no tensor shows. Default: what the checkpoint records, else those of
    the published model of this width; required if there is neither."""

    vocab_size: Annotated[int | None, minimum(FIRST_ROWS)] = None
    """deltalm, ganlm, xlmr: keep only that many rows of the embedding table, e.g. 250001 to leave
    out <mask> and the sentinels, as fairseq did in fine-tuning. Default: all."""

    language_tags: tuple[str, ...] = ()
    """deltalm, ganlm, xlmr: names of language tags, e.g. __de__ __fr__, for the rows that
    fine-tuning added after the known tokens; if there are none, new rows are made."""

    ffn_order: FfnOrder | None = None
    """deltalm: the two published loaders exchange the two feed-forward layers of a decoder layer.
    Default: current, as in all later copies; the weights are checked, and a note says which order
    they suggest."""

    part: Part | None = None
    """ganlm: what to keep of a model that has both decoders: the generator writes, the
    discriminator classifies. Default: both."""

    def __post_init__(self) -> None:
        check_values(self)

    @property
    def kept_part(self) -> Part:
        """What is kept of a model that has both decoders."""
        return self.part or "all"


def parse_size(text: str) -> int:
    """Return the number of bytes that `5GB`, `500MB` or `200KB` means.

    Raises:
        ValueError: another form, or not positive.
    """
    number, unit = (text[:-2], text[-2:].upper()) if isinstance(text, str) else ("", "")
    try:
        size = int(float(number) * _UNITS[unit])
    except (KeyError, ValueError, OverflowError):  # infGB
        size = 0
    if size <= 0:
        raise ValueError(
            f"{text!r} is not a size (shard_size): write a number and KB, MB or GB, such as 500MB"
        )
    return size
