"""What can be shown, and how: a dataclass each. Standard library alone: the command names them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from unblank.objectives.seq2seq_settings import Seq2SeqSettings
from unblank.objectives.settings import ObjectiveSettings
from unblank.settings.marks import Positional

__all__ = ["ShowPairOptions", "ShowSampleOptions", "ShowTaskOptions", "ShowTextOptions"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowSampleOptions:
    """Which text, cut how, and which sample of it."""

    text: Positional[str]
    """The text, or a file in a format that training reads (its first 256 documents)."""
    tokenizer: Path | None = None
    """Folder of the tokenizer; without one, words and punctuation marks stand for tokens."""
    model: Path | None = None
    """Folder of a model, whose tokenizer is used."""
    text_field: str = "text"
    """Field that holds the text, in jsonl and parquet files."""
    max_length: int = 128
    """Positions of the sample, Part A and Part B together; of an encoder-decoder, tokens of the
    text before it is corrupted."""
    seed: int = 0
    """Seed of the data, as in training."""
    sample_number: int = 0
    """Which sample of the stream to show."""

    def __post_init__(self) -> None:
        if self.tokenizer is not None and self.model is not None:
            raise ValueError("give a tokenizer or a model, not both: a model has its tokenizer")
        if self.sample_number < 0:
            raise ValueError(f"sample_number counts from 0, got {self.sample_number}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowTextOptions(ShowSampleOptions):
    """Print what a GLM really sees of a text: both parts, positions and what is predicted."""

    objective: ObjectiveSettings = field(default_factory=ObjectiveSettings)
    """What is masked, as in training."""
    mask: Path | None = None
    """Draw who sees whom, and save the picture here (.png, .svg or .pdf)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowPairOptions(ShowSampleOptions):
    """Print source and target of a text as an encoder-decoder sees them.

    A text with [MASK] in it is shown as it is filled.
    """

    translation: str | None = None
    """Translation of the text: they are shown as a pair, for translation span corruption."""
    seq2seq: Seq2SeqSettings = field(default_factory=Seq2SeqSettings)
    """What an encoder-decoder reads and predicts, as in training."""

    def __post_init__(self) -> None:
        ShowSampleOptions.__post_init__(self)
        if self.translation is not None and not self.translation.strip():
            raise ValueError("the translation is empty: give a text")


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowTaskOptions:
    """Print an example of a task: the filled patterns, the candidates, and the model's layout."""

    task: str
    """Name of a task, or your own YAML file."""
    data: Path | None = None
    """File of examples. Not given: the task's own data in $UNBLANK_DATA if an example is asked for
    by its number, else the example in the task's file."""
    example: int | None = None
    """Which example of the data, counted from 0."""
    pattern: int | None = None
    """Which pattern is shown token by token. Not given: the task's own choice."""
    model: Path | None = None
    """Folder of a model; its candidates are scored, too."""
    tokenizer: Path | None = None
    """Folder of a tokenizer, instead of a model; without either only texts are shown."""
    max_length: int | None = None
    """Positions of an example. Not given: the model's, or 512."""
    layout: Literal["blank", "sentinel", "masked"] = "blank"
    """How the model answers: in a blank, in one marked by a sentinel (for models pretrained with
    objective.sentinels), or one [MASK] a token (for those with objective.masked)."""

    def __post_init__(self) -> None:
        if self.tokenizer is not None and self.model is not None:
            raise ValueError("give a tokenizer or a model, not both: a model has its tokenizer")
        if self.example is not None and self.example < 0:
            raise ValueError(f"example counts from 0, got {self.example}")
