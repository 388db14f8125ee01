"""`unblank tokenize`: trains a tokenizer on text, saves it, and prints what came out."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from unblank.commands.parsing import parse_settings
from unblank.settings.marks import Needs, PathText
from unblank.settings.ranges import check_values
from unblank.starting.trained_vocabulary import (
    VocabularySettings,
    open_vocabulary_text,
    train_vocabulary,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from unblank.data.sources import TextFiles

__all__ = ["TokenizeSettings", "parse", "run"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenizeSettings(VocabularySettings):
    """Train a tokenizer on text and save it as a folder that `AutoTokenizer` opens.

    unblank tokenize --train corpus/ --kind wordpiece --vocab-size 16000 --output tokenizer
    """

    output: Path
    """Folder for tokenizer.json and tokenizer_config.json."""

    overwrite: bool = False
    """Replace the tokenizer that the output folder already has."""

    report: bool = False
    """Also say how it treats each language: a table, and languages.json and languages.png in the
    output folder."""

    parallel: Annotated[PathText | None, Needs("report")] = None
    """With --report: the same sentences in several languages, FILE:{lang} with one field a
    language, English among them. Shows how many tokens each takes compared with English."""

    verbose: Annotated[bool, Needs("report")] = False
    """With --report: a row for every language, also where there are many."""

    def __post_init__(self) -> None:
        check_values(self)


parse = partial(parse_settings, "tokenize", TokenizeSettings)


def run(settings: TokenizeSettings) -> None:
    """Train a tokenizer, save it, and print a table about it.

    Raises:
        FileExistsError: if the output folder holds a tokenizer and `overwrite` is not set.
        FileNotFoundError: if a path matches no file.
        ValueError: if the text or a setting cannot be used.
    """
    from rich.table import Table

    from unblank.atomic_folders import put_into_folder
    from unblank.consoles import TextConsole
    from unblank.data.drawn_texts import beginnings
    from unblank.tokenization.fidelity import count_words, describe_tokenizer

    output = settings.output
    if (output / "tokenizer.json").exists() and not settings.overwrite:
        raise FileExistsError(
            f"{output} already has a tokenizer: choose another --output, or add --overwrite"
        )
    console = TextConsole()
    with open_vocabulary_text(settings) as sources:
        texts = {
            source.name: source.texts(text_field=settings.text_field, text_unit=settings.text_unit)
            for source in sources
        }
        tokenizer = train_vocabulary(settings, list(texts.values()))
        with put_into_folder(output) as staging:
            tokenizer.save_pretrained(staging)
        sample = list(beginnings(list(texts.values()), 1_000_000))
        counts = [_read_through(one) for one in texts.values()]
        table = Table("tokenizer", describe_tokenizer(tokenizer), title="Trained")
        num_documents, num_empty, num_characters = map(sum, zip(*counts, strict=True))
        table.add_row("documents", f"{num_documents:,} ({num_empty:,} empty ones skipped)")
        table.add_row("characters", f"{num_characters:,}")
        size = f"{len(tokenizer):,} tokens (requested: {settings.vocab_size:,})"
        table.add_row("vocabulary", size)
        for name, value in _sample_statistics(tokenizer, sample).items():
            table.add_row(name, value)
        table.add_row("words", str(count_words(tokenizer, sample)))
        table.add_row("saved in", str(output))
        console.print(table)
        if settings.report:
            from unblank.commands.tokenize_report import report_languages

            report_languages(
                tokenizer,
                texts,
                parallel=settings.parallel,
                output=output,
                is_verbose=settings.verbose,
                console=console,
            )


def _read_through(texts: "TextFiles") -> tuple[int, int, int]:
    """Return documents, empty ones and characters of a source."""
    for _ in texts:
        pass
    return texts.num_documents, texts.num_empty, texts.num_characters


def _sample_statistics(
    tokenizer: "PreTrainedTokenizerFast", texts: Sequence[str]
) -> dict[str, str]:
    """Return how the tokenizer cuts the beginnings of all sources."""
    from unblank.describing.languages import length_counts
    from unblank.tokenization.encoding import encode_texts
    from unblank.tokenization.special import special_ids

    counts, unk = length_counts(tokenizer, texts), special_ids(tokenizer).unk
    num_unknown = sum(ids.count(unk) for ids in encode_texts(tokenizer, texts))
    return {
        "tokens per word": f"{counts.tokens / max(counts.words, 1):.2f}",
        "characters per token": f"{counts.characters / max(counts.tokens, 1):.2f}",
        "unknown tokens": f"{num_unknown / max(counts.tokens, 1):.3%}",
    }
