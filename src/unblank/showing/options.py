"""What can be shown, and how: a dataclass each, light to import: the command names them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from unblank.objectives.seq2seq_settings import Seq2SeqSettings
from unblank.objectives.settings import ObjectiveSettings
from unblank.settings.choices import Layout, PromptMode, WordMode
from unblank.settings.marks import PathText, Positional
from unblank.settings.ranges import NotNegative, Positive, Seed, TextLength, check_values
from unblank.untrusted.json_text import read_json_object

__all__ = [
    "ShowPairOptions",
    "ShowSampleOptions",
    "ShowTaskOptions",
    "ShowTextOptions",
    "shows_pair",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowSampleOptions:
    """Which text, cut how, and which sample of it."""

    text: Positional[str]
    """The text, or a file in a format that training reads (its first 256 documents)."""
    tokenizer: Path | None = None
    """Folder of a tokenizer. Default: words and punctuation marks stand for tokens."""
    model: Path | None = None
    """Model folder, whose tokenizer is used."""
    text_field: str = "text"
    """Field that holds the text, in files with fields."""
    max_length: TextLength[Positive[int]] = 128
    """Most positions of a sample, Part A and Part B together; for an encoder-decoder, most tokens
    of the text before it is corrupted."""
    seed: Seed[int] = 0
    """Seed for the data, as in training."""
    sample_number: NotNegative[int] = 0
    """Which sample of the stream to show."""

    def __post_init__(self) -> None:
        check_values(self)
        _refuse_both(self.tokenizer, self.model)


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowTextOptions(ShowSampleOptions):
    """Print what a GLM really sees of a text: both parts, positions and what is predicted."""

    objective: ObjectiveSettings = field(default_factory=ObjectiveSettings)
    """What is blanked, as in training."""
    mask: Path | None = None
    """Draw the attention mask and save the picture here (.png, .svg or .pdf)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowPairOptions(ShowSampleOptions):
    """Print source and target of a text as an encoder-decoder sees them.

    A text with [MASK] in it is shown as it is filled.
    """

    translation: str | None = None
    """Translation of the text, to show both as a pair for translation span corruption."""
    seq2seq: Seq2SeqSettings = field(default_factory=Seq2SeqSettings)
    """What an encoder-decoder reads and predicts, as in training."""

    def __post_init__(self) -> None:
        ShowSampleOptions.__post_init__(self)
        if self.translation is not None and not self.translation.strip():
            raise ValueError("the translation is empty: give a text")


def shows_pair(names: Iterable[str], folders: Iterable[Path]) -> bool:
    """Whether a text is to be shown as an encoder-decoder sees it.

    Args:
        names: of the settings that are given; those of sections perhaps with a dot.
        folders: of a model or a tokenizer.
    """
    of_pairs = ("encoder_decoder", "translation", "seq2seq")
    is_asked = any(name.partition(".")[0] in of_pairs for name in names)
    return is_asked or any(map(_holds_encoder_decoder, folders))


def _holds_encoder_decoder(folder: Path) -> bool:
    path = folder / "config.json"
    if not path.is_file():
        return False
    from unblank.families.table import family_of_model_type

    family = family_of_model_type(read_json_object(path).get("model_type"))
    return family is not None and family.writes == "targets"


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowTaskOptions:
    """Print an example of a task: the filled patterns, the candidates, and the model's layout."""

    task: PathText
    """Name of a task, or your own YAML file."""
    data: Path | None = None
    """File of examples. Default: with --example, the task's own data in $UNBLANK_DATA, else the
    example in the task's file."""
    example: NotNegative[int | None] = None
    """Which example of the data to show, counted from 0."""
    pattern: NotNegative[int | None] = None
    """Which pattern to show token by token, counted from 0. Default: the task's own choice."""
    language: str | None = None
    """Show the prompt in this language, with its parts in the order in which they are read."""
    prompts: PromptMode | None = None
    """In which words the example is asked. Default: the task's patterns as they stand, with
    --language translated."""
    words: WordMode | None = None
    """Which words name a label: English ones, those of the language, or those of all languages.
    Default: those of the language with translated prompts, else English ones."""
    model: Path | None = None
    """Model folder; the candidates are then scored too."""
    tokenizer: Path | None = None
    """Folder of a tokenizer, instead of a model. Without either, only texts are shown."""
    max_length: TextLength[Positive[int | None]] = None
    """Most positions of an example. Default: the model's, or 512."""
    layout: Layout = "blank"
    """How the model answers: in a blank, in a blank marked by a sentinel (for models pretrained
    with objective.sentinels), or in one [MASK] per token (objective.masked)."""

    def __post_init__(self) -> None:
        check_values(self)
        _refuse_both(self.tokenizer, self.model)


def _refuse_both(tokenizer: Path | None, model: Path | None) -> None:
    if tokenizer is not None and model is not None:
        raise ValueError(
            "tokenizer and model exclude each other, as a model has its tokenizer: give one of them"
        )
