"""`unblank tokenize`: trains a tokenizer on text, saves it, and prints what came out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from unblank.commands.parsing import parse_settings
from unblank.settings.marks import PathText
from unblank.settings.ranges import check_values
from unblank.starting.trained_vocabulary import VocabularySettings, train_vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["TokenizeSettings", "parse", "run"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenizeSettings(VocabularySettings):
    """Train a tokenizer on text and save it as a folder that `AutoTokenizer` opens."""

    output: PathText
    """Folder for tokenizer.json and tokenizer_config.json."""

    overwrite: bool = False
    """Replace the tokenizer that the output folder already has."""

    def __post_init__(self) -> None:
        check_values(self)


def parse(words: Sequence[str]) -> TokenizeSettings:
    """Return the settings that the words give; errors as for `parse_settings`."""
    return parse_settings("tokenize", TokenizeSettings, words)


def run(settings: TokenizeSettings) -> None:
    """Train a tokenizer, save it, and print a table about it.

    Raises:
        FileExistsError: if the output folder holds a tokenizer and `overwrite` is not set.
        FileNotFoundError: if a path matches no file.
        ValueError: if the text or a setting cannot be used.
    """
    from rich.console import Console
    from rich.table import Table

    from unblank.tokenization.fidelity import count_words, describe_tokenizer
    from unblank.whole_folders import put_into_folder

    output = Path(settings.output)
    if (output / "tokenizer.json").exists() and not settings.overwrite:
        raise FileExistsError(
            f"{output} already has a tokenizer: choose another --output, or add --overwrite"
        )
    tokenizer, texts = train_vocabulary(settings)
    with put_into_folder(output) as staging:
        tokenizer.save_pretrained(staging)
    table = Table("tokenizer", describe_tokenizer(tokenizer), title="Trained", show_header=True)
    table.add_row("documents", f"{texts.num_documents:,} ({texts.num_empty:,} empty ones skipped)")
    table.add_row("characters", f"{texts.num_characters:,}")
    table.add_row("vocabulary", f"{len(tokenizer):,} tokens (requested: {settings.vocab_size:,})")
    for name, value in _sample_statistics(tokenizer, texts).items():
        table.add_row(name, value)
    table.add_row("words", str(count_words(tokenizer, texts)))
    table.add_row("saved in", str(output))
    Console().print(table)


def _sample_statistics(
    tokenizer: "PreTrainedTokenizerFast", texts: Iterable[str]
) -> dict[str, str]:
    """Return how the tokenizer cuts the beginning of the corpus, about a million characters."""
    from unblank.tokenization.encoding import encode_texts
    from unblank.tokenization.special import special_ids

    num_characters = num_words = num_tokens = num_unknown = 0
    unk = special_ids(tokenizer).unk
    for text in texts:
        text = text[: 1_000_000 - num_characters]
        (ids,) = encode_texts(tokenizer, [text])
        num_characters += len(text)
        num_words += len(text.split())
        num_tokens += len(ids)
        num_unknown += ids.count(unk)
        if num_characters == 1_000_000:
            break
    return {
        "tokens per word": f"{num_tokens / max(num_words, 1):.2f}",
        "characters per token": f"{num_characters / max(num_tokens, 1):.2f}",
        "unknown tokens": f"{num_unknown / max(num_tokens, 1):.3%}",
    }
