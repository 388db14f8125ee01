"""`ShowTextSettings`: the options of `unblank show`, with the standard library alone."""

from dataclasses import dataclass, field
from pathlib import Path

from unblank.objectives.seq2seq_settings import Seq2SeqSettings
from unblank.objectives.settings import ObjectiveSettings

__all__ = ["ShowTextSettings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowTextSettings:
    """Print what the model really sees of a text: both parts, positions and what is predicted."""

    text: str
    """The text, or a file in a format that training reads (its first 256 documents)."""
    tokenizer: Path | None = None
    """Folder of the tokenizer; without one, words and punctuation marks stand for tokens."""
    model: Path | None = None
    """Folder of a model, whose tokenizer is used."""
    text_field: str = "text"
    """Field that holds the text, in jsonl and parquet files."""
    objective: ObjectiveSettings = field(default_factory=ObjectiveSettings)
    """What is masked, as in training."""
    encoder_decoder: bool = False
    """Show source and target as a DeltaLM or GanLM sees them, under `seq2seq`. A model of these
    families, a translation and any setting of `seq2seq` say so, too. A text with [MASK] in it is
    then shown as it is filled."""
    translation: str | None = None
    """Translation of the text: they are shown as a pair, for translation span corruption."""
    seq2seq: Seq2SeqSettings = field(default_factory=Seq2SeqSettings)
    """What an encoder-decoder reads and predicts, as in training."""
    max_length: int = 128
    """Positions of the sample, Part A and Part B together; of an encoder-decoder, tokens of the
    text before it is corrupted."""
    seed: int = 0
    """Seed of the data, as in training."""
    sample_number: int = 0
    """Which sample of the stream to show."""
    mask: Path | None = None
    """Draw who sees whom, and save the picture here (.png, .svg or .pdf)."""

    def __post_init__(self) -> None:
        if self.tokenizer is not None and self.model is not None:
            raise ValueError("give a tokenizer or a model, not both: a model has its tokenizer")
        if self.sample_number < 0:
            raise ValueError(f"sample_number counts from 0, got {self.sample_number}")

    @property
    def is_seq2seq(self) -> bool:
        """Whether the options, without looking at a model, ask for a source and a target."""
        is_changed = self.seq2seq != Seq2SeqSettings()
        return self.encoder_decoder or self.translation is not None or is_changed

    def require_seq2seq(self) -> None:
        """Raise ValueError if an option means nothing for an encoder-decoder."""
        if self.objective != ObjectiveSettings():
            raise ValueError(
                "the section objective is for GLM: give the settings of seq2seq to show the sample "
                "of an encoder-decoder"
            )
        if self.mask is not None:
            raise ValueError(
                "mask draws GLM's mixed mask; an encoder sees all of the source, a decoder what "
                "stands before: leave it out"
            )
        if self.translation is not None and not self.translation.strip():
            raise ValueError("the translation is empty: give a text")
