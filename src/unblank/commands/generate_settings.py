"""The settings of `unblank generate`: sources, decoding, output, and scores."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

from unblank.commands.shared_settings import RuleSettings
from unblank.data.fields import field_names
from unblank.data.written_records import require_writable
from unblank.generation.options import GenerationOptions
from unblank.metrics.bleu_tokenizers import BleuTokenizer
from unblank.metrics.text import TextMetric
from unblank.settings.choices import DType
from unblank.settings.marks import DataPath, Excludes, Needs, PathText, Positional
from unblank.settings.ranges import Positive

__all__ = ["GenerateSettings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerateSettings(RuleSettings, GenerationOptions):
    r"""Write answers to sources: translate, summarise, ask, verbalise, as the model was trained to.

    To one source, under rules, to a file of them:

    unblank generate runs/en-de "A man sleeps." --num-beams 5
    unblank generate runs/en-de "A man sleeps." --rules words=..6 'excludes=woman'
    unblank generate runs/en-de --input test.jsonl --source en --references de \
        --output test.de.jsonl --num-beams 5 --metrics bleu chrf

    Answers keep the order of the sources. With --output they are written as they come to
    OUTPUT.part, which becomes OUTPUT when all are there; the same command again continues where an
    interrupted one stopped.
    """

    model: Positional[PathText]
    """Model folder."""
    text: Annotated[Positional[tuple[str, ...]], Excludes("input")]
    """Sources. Without any, --input is read, or without that (or with a single -) one source per
    line of standard input."""
    input: DataPath | None = None
    """File of sources, of any format (docs/data.md); of any other ending: lines of text."""
    source: Annotated[str | None, Needs("input")] = None
    """Field of --input that is the source, or a text with fields in braces, such as
    "{passage} Question: [MASK] Answer: {answer}". Default: source; for a .txt, the line."""
    target_language: Annotated[str | None, Needs("source")] = None
    """Code of the language to write in, whose words stand in place of {hint:summary},
    {hint:headline} and {hint:translation} in --source."""
    output: Path | None = None
    """File for the answers: .txt (one per line), or .jsonl, .csv, .tsv or .parquet (with sources,
    log-probabilities and alternatives). Default: standard output."""
    overwrite: Annotated[bool, Needs("output")] = False
    """Replace --output if it exists, and what another command left of it."""
    json: Annotated[bool, Excludes("output")] = False
    """On standard output: one JSON object per source."""
    stream: Annotated[bool, Excludes("output", "json", "references")] = False
    """On standard output: each token as soon as it is chosen."""
    references: tuple[PathText, ...] = ()
    """References to score the answers against: fields of --input (a list holds several references)
    or text files with one reference per line."""
    metrics: Annotated[tuple[TextMetric, ...], Needs("references")] = ("bleu", "chrf", "rouge")
    """Metrics; each score is printed with its signature."""
    tokenize: Annotated[BleuTokenizer, Needs("references")] = "auto"
    """Tokenizer for BLEU, of sacreBLEU; auto follows the script of the references, as in `unblank
    evaluate`."""
    lowercase: Annotated[bool, Needs("references")] = False
    """Ignore case in BLEU, chrF and exact match."""
    stem: Annotated[bool, Needs("references")] = False
    """Compare the stems of English words in ROUGE."""
    margins: Annotated[bool, Needs("references")] = False
    """Also print the 95 % confidence interval of every score."""
    glossary: Path | None = None
    """File of two columns, .tsv or .csv: a term of the sources, and its translation, whose
    inflected forms are divided by |. Where a source holds the term, the answer must hold the
    translation."""
    glossary_use: Annotated[Literal["rule", "hint", "both"], Needs("glossary")] = "rule"
    """What becomes of the terms: a rule on the answer, a hint before the source such as
    "dog = Hund; cat = Katze. ", which binds nothing, or both."""
    batch_size: Positive[int] = 32
    """Number of sources answered together."""
    device: str = "auto"
    """auto (a GPU if there is one), cpu or cuda."""
    dtype: DType | None = None
    """Data type of the computation; fp16 is fastest on most CPUs, and there rounds weights only.
    Default: as the model was saved."""

    def __post_init__(self) -> None:
        GenerationOptions.__post_init__(self)
        if self.target_language is not None and "{hint:" not in (self.source or ""):
            raise ValueError(
                "target_language is the language of {hint:NAME} in source, which has none: leave "
                "it out (source_tag and target_tag tell a model the language)"
            )
        if self.source is not None:
            field_names(self.source_with_hints() or "")
        if self.output is not None:
            require_writable(self.output, also=(".txt",))
            if self.output.suffix.lower() == ".txt" and self.num_return > 1:
                raise ValueError(
                    "a .txt output has one answer per source: for several, give a .jsonl"
                )

    def source_with_hints(self) -> str | None:
        """Return `source` with the words of the language to write in."""
        if self.source is None or "{hint:" not in self.source:
            return self.source
        from unblank.prompting.writing_hints import with_hints

        return with_hints(
            self.source,
            self.target_language or "",
            to_name_it="set target_language to its code (--target-language)",
        )

    def options(self) -> GenerationOptions:
        """Return how answers are written, alone."""
        names = [field.name for field in fields(GenerationOptions)]
        return GenerationOptions(**{name: getattr(self, name) for name in names})
