"""Settings of `unblank convert`: what to read, what to write, and what only the user can know."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = [
    "ConvertOptions",
    "ConvertSettings",
    "DType",
    "Family",
    "FfnOrder",
    "Part",
    "VerifySettings",
    "parse_convert",
    "parse_size",
]

Family = Literal["auto", "glm", "multiglm", "deltalm", "ganlm", "xlmr"]
DType = Literal["fp32", "fp16", "bf16"]
FfnOrder = Literal["current", "first-release"]
Part = Literal["all", "generator", "discriminator"]

FIRST_ROWS = 4
"""Rows without which no encoder-decoder here works."""
UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9}


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvertOptions:
    """What a family's reader takes from the user."""

    family: Family = "auto"
    """Kind of model; auto finds it by the keys and shapes of the weights."""

    tokenizer: Path | None = None
    """Vocabulary file, or folder with it: vocab.txt, vocab.json + merges.txt, a SentencePiece
    model, dict.txt + spm.model. Not given: looked for beside the weights."""

    dtype: DType | None = None
    """Type of the written weights; not given: as stored."""

    num_attention_heads: int | None = None
    """Heads a layer, which no tensor shows; not given: what the checkpoint records, else those of
    the published model of this width; needed if there is none."""

    vocab_size: int | None = None
    """deltalm, ganlm, xlmr: keep only that many rows of the embedding table, e.g. 250001 to leave
    out <mask> and the sentinels as fairseq did in fine-tuning; not given: all."""

    language_tags: tuple[str, ...] = ()
    """deltalm, ganlm, xlmr: names of language tags, e.g. __de__ __fr__. They name rows that
    fine-tuning added behind the known tokens; where there are none, new rows are made."""

    ffn_order: FfnOrder = "current"
    """deltalm: two loaders were published that exchange the two feed-forward layers of a decoder
    layer. current is what all later copies do; the weights are checked for which is right."""

    part: Part = "all"
    """ganlm: what to keep of a model that has both decoders: the generator writes, the
    discriminator classifies."""

    def __post_init__(self) -> None:
        if self.num_attention_heads is not None and self.num_attention_heads < 1:
            raise ValueError(f"num_attention_heads is {self.num_attention_heads}: give 1 or more")
        if self.vocab_size is not None and self.vocab_size < FIRST_ROWS:
            raise ValueError(
                f"vocab_size is {self.vocab_size}: the first {FIRST_ROWS} rows, <s> <pad> </s> "
                "<unk>, always stay, so give that or more"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvertSettings(ConvertOptions):
    """Turn a published checkpoint into a safe, self-contained transformers folder.

    SOURCE is a file or folder as published. No pickle is executed. OUTPUT gets config.json,
    safetensors, a fast tokenizer and provenance.json, which accounts for every key.

    Check a converted folder with
    `unblank convert --verify OUTPUT [--reference FILE] [--tolerance 1e-4]`.
    """

    source: Path
    """Checkpoint file or folder, as published."""

    output: Path
    """Folder to write; it must not exist."""

    shard_size: str = "5GB"
    """Largest weights file, e.g. 500MB; also about the memory that the conversion needs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifySettings:
    """Check a converted folder: reload it, look at every weight, and run the model.

    With a reference file, the model must also give the recorded outputs.
    """

    verify: Path
    """Converted folder."""

    reference: Path | None = None
    """Recorded inputs and outputs, .safetensors, .npz or .json."""

    tolerance: float = 1e-4
    """Largest absolute and relative difference to the reference, fp32."""


def parse_size(text: str) -> int:
    """Return the number of bytes that `5GB`, `500MB` or `200KB` means.

    Raises:
        ValueError: another form, or not positive.
    """
    number, unit = text[:-2], text[-2:].upper()
    try:
        size = int(float(number) * UNITS[unit])
    except (KeyError, ValueError):
        size = 0
    if size <= 0:
        raise ValueError(f"{text!r} is no size: write a number and KB, MB or GB, like 500MB")
    return size


def parse_convert(arguments: list[str]) -> ConvertSettings | VerifySettings:
    """Return the settings of either form of the command."""
    import tyro

    wants_verify = any(argument.partition("=")[0] == "--verify" for argument in arguments)
    settings: type[ConvertSettings] | type[VerifySettings]
    settings = VerifySettings if wants_verify else ConvertSettings
    return tyro.cli(
        settings,
        prog="unblank convert",
        description=settings.__doc__,
        args=arguments,
        config=() if wants_verify else (tyro.conf.PositionalRequiredArgs,),
    )
