"""`unblank generate`: sources in, answers out in their order, and scores of them."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from unblank.generation.options import GenerationOptions
from unblank.metrics.text import BleuTokenizer, TextMetric

__all__ = ["GenerateSettings", "run"]


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerateSettings(GenerationOptions):
    """Write answers to sources: translate, summarise, ask, verbalise; whatever the model learnt.

    One source: unblank generate MODEL "A man sleeps." --num-beams 5

    A file: unblank generate MODEL --input test.jsonl --source en --references de --num-beams 5
    --output test.de.jsonl --metrics bleu chrf

    Answers keep the order of the sources. With --output they are written as they come to
    OUTPUT.part, which becomes OUTPUT when all are there; the same command again goes on where an
    interrupted one stopped.
    """

    model: str
    """Folder of the model."""
    text: tuple[str, ...]
    """Sources; none reads --input, or standard input, one source a line."""
    input: Path | None = None
    """File of sources: .jsonl, .tsv, .csv, .txt (also .gz, .zst) or .parquet."""
    source: str | None = None
    """Field of the source in --input, or a text with fields in braces, such as
    "{passage} Question: [MASK] Answer: {answer}". Not given: source; of a .txt the line."""
    output: Path | None = None
    """File for the answers: .txt (one a line) or .jsonl (with sources, log-probabilities and
    alternatives). Not given: standard output."""
    overwrite: bool = False
    """Replace --output if it is there, and start over."""
    json: bool = False
    """Standard output: one JSON object a source."""
    stream: bool = False
    """Standard output: every token as soon as it is chosen."""
    references: tuple[str, ...] = ()
    """What should be written: fields of --input (a list is several references) or text files, one
    reference a line. The answers are then scored."""
    metrics: tuple[TextMetric, ...] = ("bleu", "chrf", "rouge")
    """Scores, each printed with its signature."""
    tokenize: BleuTokenizer = "13a"
    """Tokenizer of BLEU; zh for Chinese, ja-mecab for Japanese, char for any script without
    spaces."""
    lowercase: bool = False
    """BLEU, chrF and exact match ignore case."""
    stem: bool = False
    """ROUGE compares the stems of English words."""
    margins: bool = False
    """Also the 95 % interval of every score."""
    batch_size: int = 32
    """Sources answered together."""
    device: str = "auto"
    """auto (a GPU if there is one), cpu or cuda."""
    dtype: Literal["fp32", "bf16"] | None = None
    """Arithmetic; not given is as the model was saved."""

    def __post_init__(self) -> None:
        GenerationOptions.__post_init__(self)
        self._check_places()
        if self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size}: it must be at least 1")

    def _check_places(self) -> None:
        if self.text and self.input:
            raise ValueError("give sources or --input, not both")
        if self.source is not None and self.input is None:
            raise ValueError("--source names a field of --input: give --input FILE")
        if self.output is not None and (self.stream or self.json):
            raise ValueError("--stream and --json are for standard output: leave out --output")
        if self.stream and self.json:
            raise ValueError("--stream prints tokens and --json finished answers: choose one")
        if self.stream and self.references:
            raise ValueError("--stream scores nothing: leave out --references")
        if not self.references and (self.lowercase or self.stem or self.margins):
            raise ValueError("--lowercase, --stem and --margins shape scores: give --references")
        if self.output is not None and self.output.suffix not in (".txt", ".jsonl"):
            raise ValueError(f"output is {self.output}: its name must end in .txt or .jsonl")
        if self.output is not None and self.output.suffix == ".txt" and self.num_return > 1:
            raise ValueError("a .txt holds one answer a line: for several, give a .jsonl")
        if self.overwrite and self.output is None:
            raise ValueError("there is nothing to overwrite without --output")

    def options(self) -> GenerationOptions:
        """Return how answers are written, alone."""
        names = [field.name for field in fields(GenerationOptions)]
        return GenerationOptions(**{name: getattr(self, name) for name in names})


def run(settings: GenerateSettings) -> None:
    """Answer the sources, and score the answers if there are references.

    Raises:
        FileNotFoundError: a file or the model is not there.
        FileExistsError: the output is there already.
        ValueError: as for `read_job`, `AnswerFile` and `generate_texts`.
        ImportError: a score needs a package that is not installed.
    """
    from unblank.commands.generate_answers import generate_and_print

    generate_and_print(settings)
