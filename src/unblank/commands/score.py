"""`unblank score`: scores candidates for a blank, or for what answers a source."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from unblank.commands.parsing import parse_settings
from unblank.commands.shared_settings import FileSettings, RetrievalSettings
from unblank.settings.choices import Context, DType, Normalization
from unblank.settings.marks import Excludes, Needs, PathText, Positional
from unblank.settings.ranges import NotNegative, Positive, check_values
from unblank.terminal_text import print_message

if TYPE_CHECKING:
    from rich.table import Table

    from unblank.api import Unblank
    from unblank.generation.candidates import ScoringOptions
    from unblank.generation.results import Scores

__all__ = ["ScoreSettings", "parse", "run", "score_to_file"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreSettings(FileSettings, RetrievalSettings):
    r"""Score candidates for a blank, or for what answers a source, by their log-probability.

    In one text, an answer for every blank, in a file:

    unblank score runs/mine "The cat [MASK] on the mat." --candidates sat slept
    unblank score runs/mine "The [MASK] sat on the [MASK]." --answers cat mat
    unblank score runs/mine --input questions.csv --text-field question \
        --candidates yes no --output scored.csv
    """

    model: Positional[PathText]
    """Model folder."""
    text: Positional[tuple[str, ...]]
    """Texts with a blank, or sources. Without any, --input is read, or without that (or with a
    single -) one per line of standard input."""
    candidates: tuple[str, ...] = ()
    """Candidates for the blank, or for the target of a source; at least one."""
    candidates_field: Annotated[str | None, Needs("output"), Excludes("candidates")] = None
    """Field of --input that lists the candidates of each text; in a table as JSON, such as
    ["sat", "slept"]."""
    answers: Annotated[
        tuple[str, ...],
        Excludes(
            "candidates",
            "candidates_field",
            "output",
            "blank",
            "normalization",
            "content_free",
            "include_end",
            "context",
            "source_tag",
            "retrieve",
            "calibration",
        ),
    ] = ()
    """Instead of candidates: one answer for each blank of the text, of at most four, to be scored
    together in every order in which the blanks can be filled."""
    blank: NotNegative[int] = 0
    """Which blank of the text the candidates are for, counted from 0; the others stay blank."""
    normalization: Normalization = "sum"
    """Score by the sum of the token log-probabilities, by their mean, or by the sum without what
    a text without content says of the candidates: pmi (log-probability that the text adds) or
    contextual (calibrated so that all are equal without content)."""
    content_free: Annotated[tuple[str, ...], Needs("normalization")] = ()
    """With pmi and contextual: texts without content, with a blank (encoder-decoder: sources), such
    as "The film was [MASK]." Default: the blank alone; encoder-decoder: N/A."""
    include_end: bool = True
    """Include the probability that the candidate ends where it does."""
    context: Context = "bi"
    """What a token of the text attends to: both sides (bi), or only what precedes it (uni); answers
    see all of the text."""
    source_tag: str | None = None
    """Encoder-decoder: language tag to put before every source, such as __de__."""
    batch_size: Annotated[Positive[int], Needs("output")] = 16
    """Number of texts scored together."""
    json: bool = False
    """Print one JSON object per text."""
    calibration: bool = True
    """Use what `unblank calibrate` has kept in the model's folder."""
    device: str = "auto"
    """auto (a GPU if there is one), cpu or cuda."""
    dtype: DType | None = None
    """Data type of the computation; fp16 is fastest on most CPUs, and there rounds weights only.
    Default: as the model was saved."""

    def __post_init__(self) -> None:
        check_values(self)
        if not self.candidates and self.candidates_field is None and not self.answers:
            raise ValueError(
                "no candidates: give --candidates, one or more, or --answers, one for each blank"
            )


_HEADINGS = {
    "sum": "log p",
    "mean": "log p per token",
    "pmi": "log p gained",
    "contextual": "log p, even without content",
}


parse = partial(parse_settings, "score", ScoreSettings)


def run(settings: ScoreSettings) -> None:
    """Score the candidates in each text and print them, best first, or write them to a file.

    Raises:
        ValueError: as for `Unblank.score`, once the others are scored; also if none is given.
        FileNotFoundError: as for `unblank.load`; also for `--input`.
        FileExistsError: `--output` is there already.
    """
    from unblank.commands.texts import (
        Refused,
        each_text,
        print_json,
        print_refused,
        raise_any,
        raise_refused,
        texts_of,
    )
    from unblank.consoles import TextConsole

    if settings.output is not None:
        raise_refused(score_to_file(settings), settings.output, "scored")
        return

    if settings.answers:
        from unblank.api import load
        from unblank.commands.score_orders import print_order_scores

        unblank = load(settings.model, device=settings.device, dtype=settings.dtype)
        texts = texts_of(settings.text, settings)
        print_order_scores(unblank, texts, settings.answers, as_json=settings.json)
        return

    unblank = _opened(settings)
    options = asdict(_options(settings))
    console = TextConsole(highlight=False)
    problems: list[str] = []
    retriever = settings.retriever(unblank)

    def scored(text: str) -> "tuple[str, Scores, list[dict[str, Any]]]":
        if retriever is None:
            return text, unblank.score(text, list(settings.candidates), **options), []
        return text, *retriever.score(text, settings.candidates, **options)

    for answer in each_text(texts_of(settings.text, settings), scored, problems):
        if isinstance(answer, Refused):
            print_refused(answer, console, "scored", as_json=settings.json)
            continue
        text, scores, passages = answer
        if settings.json:
            more = {} if retriever is None else {"passages": passages}
            values = scores.to_dict()
            for one in values["candidates"]:
                one["probability"] = one["share"]  # its name up to version 0.2
            print_json({"text": text, **values, **more})
            continue
        console.print(_table(text, scores, settings.normalization))
        for passage in passages:
            line = f"{passage['share']:6.1%}  {passage['text']}  {passage['place']}"
            console.print(line, markup=False, soft_wrap=True)
    if retriever is not None:
        print_message(retriever)
    raise_any(problems)


def score_to_file(settings: ScoreSettings) -> Iterator[dict[str, Any]]:
    """Return an iterator over the scores for the texts of a file; see `score_records`."""
    from unblank.answering.score import score_records
    from unblank.commands.texts import require_files, with_report_at_end

    input_path, output = require_files(settings)
    unblank = _opened(settings)
    retriever = settings.retriever(unblank)
    answers = score_records(
        unblank,
        Path(settings.model),
        input_path,
        output,
        _options(settings),
        candidates=settings.candidates,
        candidates_field=settings.candidates_field,
        text_field=settings.text_field,
        text_unit=settings.text_unit,
        batch_size=settings.batch_size,
        overwrite=settings.overwrite,
        retriever=retriever,
    )
    return with_report_at_end(answers, retriever)


def _options(settings: ScoreSettings) -> "ScoringOptions":
    from unblank.generation.candidates import ScoringOptions

    names = [field.name for field in fields(ScoringOptions)]
    return ScoringOptions(**{name: getattr(settings, name) for name in names})


def _opened(settings: ScoreSettings) -> "Unblank":
    """Open the model, and say if what is asked is calibrated."""
    from unblank.api import load

    options = _options(settings)
    unblank = load(
        settings.model,
        device=settings.device,
        dtype=settings.dtype,
        calibration=settings.calibration,
    )
    found = unblank.calibration and unblank.calibration.candidates
    if found:
        different = found.difference(options.asked(settings.candidates))
        said = f"not used: it was learned with other {different}" if different else found.source
        print_message(f"calibration {said}" if different else said)
    return unblank


def _table(text: str, scores: "Scores", normalization: str) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(text, style="bold"), title_justify="left")
    table.add_column("candidate", style="green")
    table.add_column(_HEADINGS[normalization], justify="right")
    table.add_column("share", justify="right")
    for candidate in scores.ranked:
        table.add_row(Text(candidate.text), f"{candidate.score:.3f}", f"{candidate.share:.1%}")
    return table
