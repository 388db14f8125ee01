"""Converting a published checkpoint: open, detect, plan, check, write, report."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from unblank.atomic_folders import new_folder
from unblank.conversion.deltalm import plan_deltalm
from unblank.conversion.detect import Detection, detect_family
from unblank.conversion.encoder_plan import plan_encoder
from unblank.conversion.ganlm import plan_ganlm
from unblank.conversion.glm import plan_glm
from unblank.conversion.options import ConvertOptions, FamilyChoice, FfnOrder, Part, parse_size
from unblank.conversion.plan import ConversionPlan, PlanReader, check_plan
from unblank.conversion.provenance import provenance_of, write_provenance
from unblank.conversion.source import Source, open_source
from unblank.conversion.writer import write_model
from unblank.path_arguments import disk_path
from unblank.settings.choices import DType
from unblank.unicode import require_texts

__all__ = ["Conversion", "convert", "plan_conversion", "write_conversion"]

_PLAN_READERS: dict[str, PlanReader] = {
    "deltalm": plan_deltalm,
    "ganlm": plan_ganlm,
    "glm": plan_glm,
    "multiglm": plan_glm,
    "xlmr": plan_encoder,
}
"""The function that plans the conversion of each family's weights."""

_OPTIONS_OF_FAMILIES = {
    "vocab_size": ("deltalm", "ganlm", "xlmr"),
    "language_tags": ("deltalm", "ganlm", "xlmr"),
    "ffn_order": ("deltalm",),
    "part": ("ganlm",),
}
"""Options that apply to some families only; for others they are refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """A checkpoint that was opened, understood and checked, ready to be written."""

    source: Source
    detection: Detection
    plan: ConversionPlan
    options: ConvertOptions


def convert(
    source: str | Path,
    output: str | Path,
    *,
    family: FamilyChoice = "auto",
    tokenizer: str | Path | None = None,
    dtype: DType | None = None,
    num_attention_heads: int | None = None,
    vocab_size: int | None = None,
    language_tags: Sequence[str] = (),
    ffn_order: FfnOrder | None = None,
    part: Part | None = None,
    shard_size: str = "5GB",
) -> Conversion:
    """Turn a published checkpoint into a transformers folder; return what was found and done.

    Args:
        source: file or folder as published.
        output: folder to write; must not exist.
        family: "auto" finds it by keys and shapes.
        tokenizer: vocabulary file or folder; None looks beside the weights.
        dtype: of the written weights; None keeps the stored types.
        num_attention_heads: heads a layer, which no tensor shows; None takes what the checkpoint
            records, else the number in the published model of this width; needed if there is none.
        vocab_size: rows of an encoder-decoder's embedding table to keep; None keeps all.
        language_tags: tokens after all others, e.g. "__de__".
        ffn_order: which published reading of DeltaLM's two feed-forward layers to follow; None is
            the current one.
        part: of a GanLM that has both decoders; None keeps all.
        shard_size: largest weights file, e.g. "500MB".

    Raises:
        FileNotFoundError: nothing to read, or a piece is missing.
        FileExistsError: `output` exists.
        ValueError: damaged, hostile or unknown files, keys that are left over or missing, a
            tokenizer that does not fit, or weights that are not finite.
        TypeError: an argument of another type.
    """
    options = ConvertOptions(
        family=family,
        tokenizer=None if tokenizer is None else disk_path(tokenizer, "tokenizer"),
        dtype=dtype,
        num_attention_heads=num_attention_heads,
        vocab_size=vocab_size,
        language_tags=tuple(require_texts(language_tags, "language_tags")),
        ffn_order=ffn_order,
        part=part,
    )
    written, shard_bytes = disk_path(output, "output"), parse_size(shard_size)
    conversion = plan_conversion(disk_path(source, "source"), options)
    write_conversion(conversion, written, shard_bytes=shard_bytes)
    return conversion


def plan_conversion(source: Path, options: ConvertOptions) -> Conversion:
    """Return a checkpoint that is understood and proved to be complete; nothing is written."""
    opened = open_source(source)
    if options.family == "auto":
        detection = detect_family(opened)
    else:
        detection = Detection(options.family, (*opened.evidence, "family given with --family"))
    _check_options(options, detection.family)
    plan = _PLAN_READERS[detection.family](opened, options)
    check_plan(plan, opened)
    return Conversion(source=opened, detection=detection, plan=plan, options=options)


def write_conversion(
    conversion: Conversion,
    output: Path,
    *,
    shard_bytes: int,
    advance: Callable[[int], None] | None = None,
) -> None:
    """Write the folder of a prepared conversion, or nothing at all.

    Args:
        conversion: from `plan_conversion`.
        output: folder to write; must not exist.
        shard_bytes: largest weights file.
        advance: called with the number of weights of each written tensor.
    """
    source, plan, options = conversion.source, conversion.plan, conversion.options
    with new_folder(output) as folder:
        write_model(
            plan, source, folder, dtype=options.dtype, shard_bytes=shard_bytes, advance=advance
        )
        write_provenance(folder, provenance_of(source, conversion.detection, plan, options))


def _check_options(options: ConvertOptions, family: str) -> None:
    for name, families in _OPTIONS_OF_FAMILIES.items():
        if family not in families and getattr(options, name) not in (None, ()):
            option = "--" + name.replace("_", "-")
            raise ValueError(
                f"{option} applies to {', '.join(families)} only, but this checkpoint is {family}: "
                "leave it out"
            )
