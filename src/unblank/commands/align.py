"""`unblank align`: how alike the states of translations are, before and after fine-tuning."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from unblank.commands.parsing import parse_settings
from unblank.settings.marks import PathText, Positional
from unblank.settings.ranges import Positive, Seed, check_values

if TYPE_CHECKING:
    from rich.table import Table

    from unblank.aligning.measure import Alignment

__all__ = ["AlignSettings", "parse", "run"]


@dataclass(frozen=True, kw_only=True, slots=True)
class AlignSettings:
    """Measure how alike a model's states of translations are, layer by layer.

    A sentence is looked for among the English ones by the cosine of mean states, and the other way
    round (retrieval accuracy). Also a picture of the states (t-SNE) and of the vocabulary that
    languages share.

    unblank align runs/mine --after runs/tuned --parallel 'ntrex.jsonl:{lang}' --output align
    """

    model: Positional[Path]
    """Model folder."""

    parallel: PathText
    """Translations: FILE:{lang} with one field a language, English among them, or FILE@{lang} whose
    records have a language in the field lang and English in another one."""

    output: Path
    """Folder for alignment.json and alignment.png."""

    after: Path | None = None
    """The same model after fine-tuning, or any other one, to compare with."""

    languages: tuple[str, ...] = ()
    """Codes of languages to measure. Default: all that are there."""

    english_field: str = "eng"
    """Field of the English sentences of FILE@{lang}."""

    limit: Positive[int] = 200
    """Sentences of each language."""

    drawn: Positive[int] = 8
    """Languages in the picture of states."""

    batch_size: Positive[int] = 32
    """Sentences of a forward pass."""

    seed: Seed[int] = 0
    """Seed of t-SNE."""

    def __post_init__(self) -> None:
        check_values(self)


parse = partial(parse_settings, "align", AlignSettings)


def run(settings: AlignSettings) -> None:
    """Measure one or two models, print a table, write numbers and picture.

    Raises:
        FileNotFoundError: a folder or file is not there.
        ValueError: a model or the translations cannot be used.
        ImportError: scikit-learn is not installed.
    """
    from unblank.aligning.measure import measure_alignment, read_translations
    from unblank.aligning.pictures import draw_alignment, reduce_states
    from unblank.aligning.vocabulary import vocabulary_overlap
    from unblank.consoles import TextConsole
    from unblank.extras import require_package
    from unblank.families.loading import load_folder
    from unblank.integrity import seal, write_atomically
    from unblank.progress_bars import counting_bar

    require_package("sklearn", "t-SNE")
    translations = read_translations(
        settings.parallel,
        limit=settings.limit,
        english_field=settings.english_field,
        languages=settings.languages,
    )
    folders = [settings.model, *([settings.after] if settings.after else [])]
    found: dict[str, Alignment] = {}
    overlaps = {}
    for folder in folders:
        model, tokenizer = load_folder(folder, must_write=False)
        num_english = len({other for pairs in translations.values() for _, other in pairs})
        total = num_english + sum(map(len, translations.values()))
        name = str(folder)
        with counting_bar(f"states of {name}", total) as advance:
            found[name] = measure_alignment(
                model, tokenizer, translations, batch_size=settings.batch_size, advance=advance
            )
        texts = {code: [one for one, _ in pairs] for code, pairs in translations.items()}
        texts["en"] = [other for _, other in next(iter(translations.values()))]
        overlaps[name] = vocabulary_overlap(tokenizer, texts)
    points = {}
    for name, alignment in found.items():
        shown = ["en", *list(translations)[: settings.drawn - 1]]
        layer = alignment.best_layer
        some = {code: alignment.states[code][layer] for code in shown}
        points[name] = reduce_states(some, settings.seed)
    settings.output.mkdir(parents=True, exist_ok=True)
    content = {
        "parallel": settings.parallel,
        "sentences": {code: len(pairs) for code, pairs in translations.items()},
        "models": {
            name: {
                **alignment.as_json(),
                "vocabulary_overlap": overlaps[name],
                "t-SNE": {code: places.tolist() for code, places in points[name].items()},
            }
            for name, alignment in found.items()
        },
    }
    write_atomically(settings.output / "alignment.json", seal(content, readable=True))
    accuracies = {name: alignment.means for name, alignment in found.items()}
    path = settings.output / "alignment.png"
    is_drawn = draw_alignment(accuracies, points, overlaps[str(settings.model)], path)
    console = TextConsole()
    console.print(_table(found))
    picture = " and alignment.png" if is_drawn else ""
    console.print(f"numbers: {settings.output / 'alignment.json'}{picture}", soft_wrap=True)


def _table(found: "dict[str, Alignment]") -> "Table":
    """Return the mean accuracies: a row a layer, a column a model."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title="retrieval accuracy (%), mean over languages and directions",
        box=SIMPLE_HEAD,
        title_justify="left",
    )
    table.add_column("layer")
    for name in found:
        table.add_column(Text(name), justify="right", overflow="fold")
    columns = [alignment.means for alignment in found.values()]
    for layer in range(max(map(len, columns))):
        values = [f"{means[layer]:.1f}" if layer < len(means) else "" for means in columns]
        table.add_row("embeddings" if layer == 0 else str(layer), *values)
    return table
