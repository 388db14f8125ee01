"""The settings of `unblank convert`: of a conversion, a vocabulary, or a check of a folder."""

from dataclasses import dataclass
from pathlib import Path

from unblank.conversion.options import ConvertOptions
from unblank.settings.marks import Positional
from unblank.settings.ranges import NotNegative, check_values

__all__ = ["CompleteSettings", "ConvertSettings", "VerifySettings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvertSettings(ConvertOptions):
    """Turn a published checkpoint into a safe, self-contained transformers folder.

    SOURCE is a file or folder as published. No pickle is executed. OUTPUT gets config.json,
    safetensors, a fast tokenizer and provenance.json, which accounts for every key.

    Convert, check the result, and give a tokenizer to what was converted without one:

    unblank convert glm-2b runs/glm-2b --tokenizer gpt2-vocabulary
    unblank convert --verify runs/glm-2b [--reference recorded.safetensors --tolerance 1e-4]
    unblank convert --complete runs/bare --tokenizer gpt2-vocabulary
    """

    source: Positional[Path]
    """Published checkpoint: a file or a folder."""

    output: Positional[Path]
    """Folder to write; it must not exist."""

    shard_size: str = "5GB"
    """Largest weights file, e.g. 500MB; the conversion needs about as much memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CompleteSettings:
    """Give a converted folder its tokenizer, if no vocabulary was found when it was converted.

    The vocabulary is checked against the weights, which are not read again.
    """

    complete: Path
    """Converted folder without a tokenizer."""

    tokenizer: Path
    """Vocabulary file, or folder with it: vocab.txt, vocab.json + merges.txt, a SentencePiece
    model, dict.txt + spm.model."""

    language_tags: tuple[str, ...] = ()
    """deltalm, ganlm, xlmr: names of language tags, e.g. __de__ __fr__, for the rows that
    fine-tuning added after the known tokens."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifySettings:
    """Check a converted folder: reload it, look at every weight, and run the model.

    With a reference file, the model must also give the recorded outputs.
    """

    verify: Path
    """Converted folder."""

    reference: Path | None = None
    """Recorded inputs and outputs, .safetensors, .npz or .json."""

    tolerance: NotNegative[float] = 1e-4
    """Largest absolute and relative difference from the reference, in fp32."""

    def __post_init__(self) -> None:
        check_values(self)
