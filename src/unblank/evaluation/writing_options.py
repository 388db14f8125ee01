"""The options of measuring what a model writes, translations too."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from unblank.evaluation.options import DataOptions
from unblank.metrics.bleu_tokenizers import BleuTokenizer
from unblank.settings.checks import require_beams, require_each_once
from unblank.settings.choices import BlankToken
from unblank.settings.marks import Needs, PathText
from unblank.settings.ranges import LengthPenalty, NotNegative, NumBeams, OneOrMore, Positive

__all__ = ["TranslationOptions", "WritingOptions", "WritingSuiteName"]

WritingSuiteName = Literal[
    "summarization",
    "compression",
    "question-generation",
    "headlines",
    "simplification",
    "data-to-text",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class WritingOptions(DataOptions):
    """Measure a model by the texts that it writes: summaries, translations, questions, ...

    unblank evaluate MODEL --suite summarization --data FOLDER
    """

    suite: Literal[WritingSuiteName, "translation"]
    file: tuple[PathText, ...] = ()
    """Your own files, folders or globs instead, of any format (docs/data.md)."""
    source_field: Annotated[str | None, Needs("file")] = None
    """Field of your own files that holds the source."""
    target_field: Annotated[str | None, Needs("file")] = None
    """Field of your own files that holds the reference, or a list of them."""
    num_beams: NumBeams[int] = 5
    """Number of beams; 1 is greedy decoding."""
    no_repeat_ngram: NotNegative[int] = 3
    """Let no n-gram of this length occur twice in an answer; 0 = off."""
    length_penalty: OneOrMore[LengthPenalty[tuple[float, ...]]] = (1.0,)
    """Beams are ranked by log-probability / tokens ** penalty. Several values are tried in turn,
    and the best by the first metric is reported: choose it on the validation split."""
    max_tokens: Positive[int | None] = None
    """Most tokens of an answer. Default: 200."""
    source_template: str | None = None
    """What the model reads: a text with {text} in place of the source, and {hint:summary},
    {hint:headline} or {hint:translation} in place of a word of the language to write in, such as
    "{text} {hint:summary}: [sMASK]". Default: the source alone."""
    source_tag: str | None = None
    """Language tag to put before every source, such as __de__; {source} and {target} stand for the
    codes of the languages."""
    target_tag: str | None = None
    """Language tag that every answer of an encoder-decoder starts with; likewise."""
    blank: BlankToken | None = None
    """Token for the answer to a source. Default: [sMASK]. Published models without task masks
    have only [MASK]."""
    bleu_tokenizer: BleuTokenizer = "auto"
    """Tokenizer for BLEU, of sacreBLEU; auto follows the script of the references: zh, ja-mecab and
    ko-mecab (char without MeCab), char for other scripts without spaces, else 13a."""
    batch_size: Positive[int] = 32
    """Number of sources answered together."""

    def __post_init__(self) -> None:
        DataOptions.__post_init__(self)
        if (self.source_field or self.target_field) and not self.file:
            raise ValueError("source_field and target_field are of your own files: give --file")
        require_each_once(self.length_penalty, "length_penalty")
        require_beams(self.num_beams, is_penalized=len(self.length_penalty) > 1)
        if self.source_template is not None and "{text}" not in self.source_template:
            raise ValueError(
                f"source_template is {self.source_template!r}: it must hold {{text}}, where the "
                "source stands"
            )
        self.check_hints([])

    def check_hints(self, languages: Sequence[str]) -> None:
        """Raise ValueError if a hint of `source_template` has no word.

        Args:
            languages: codes of those that are written in; empty where one is not known.
        """
        if self.source_template is None or "{hint:" not in self.source_template:
            return
        from unblank.prompting.writing_hints import check_hints, with_hints

        check_hints(self.source_template)
        is_unknown = self.file and (self.source_field or self.suite != "translation")
        for language in dict.fromkeys([*languages, *([""] if is_unknown else [])]):
            with_hints(self.source_template, language)


@dataclass(frozen=True, kw_only=True, slots=True)
class TranslationOptions(WritingOptions):
    """Measure a model by its translations, direction by direction.

    unblank evaluate MODEL --suite translation --tasks multi30k --directions en-de --data FOLDER
    """

    suite: Literal["translation"] = "translation"
    directions: tuple[str, ...] = ()
    """Directions to measure, as SOURCE-TARGET; * stands for every language, as in en-*. Default:
    those of each set."""

    def __post_init__(self) -> None:
        WritingOptions.__post_init__(self)
        if bool(self.source_field) != bool(self.target_field):
            raise ValueError("give source_field and target_field together, or neither")
        if self.source_field and self.directions:
            raise ValueError(
                "directions choose between the languages of a file, and with source_field and "
                "target_field there is one direction: leave out one of them"
            )
        if self.directions:
            from unblank.languages.directions import ANY_LANGUAGE, find_direction

            targets = [find_direction(one).target for one in self.directions]
            self.check_hints([one for one in targets if one != ANY_LANGUAGE])
