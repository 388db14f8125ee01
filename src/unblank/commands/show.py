"""`unblank show`: prints what a model really sees of a text, or of a task's example."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unblank.commands.parsing import Variants, parse_settings
from unblank.commands.words import named_values
from unblank.showing.options import ShowPairOptions, ShowTaskOptions, ShowTextOptions, shows_pair

__all__ = ["ShowPairSettings", "parse", "run"]

_DESCRIPTION = """Print what the model sees of a text: both parts, their positions, and what is
predicted; with --task, an example of a task (`unblank show --task rte --help`):

unblank show --task rte [--data FILE --example 3 --pattern 0] [--model FOLDER]"""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowPairSettings(ShowPairOptions):
    """Print source and target of a text as an encoder-decoder (DeltaLM, GanLM) sees them.

    A model of these families, a translation and any setting of `seq2seq` say so, too. A text with
    [MASK] in it is shown as it is filled.
    """

    encoder_decoder: bool = True
    """Show a text as an encoder-decoder sees it."""


_TEXT, _PAIR = "a text for a GLM", "a text for an encoder-decoder"
_KINDS: dict[str, Any] = {
    _TEXT: ShowTextOptions,
    _PAIR: ShowPairSettings,
    "--task": ShowTaskOptions,
}

_OF_TEXTS = ("tokenizer", "model", "max_length", "seed", "sample_number")
_USUAL = {
    _TEXT: (
        *("mask", *_OF_TEXTS),
        *("objective.token", "objective.sentence", "objective.document", "objective.masked"),
        *("objective.causal", "objective.mask_ratio"),
    ),
    _PAIR: (
        *("encoder_decoder", "translation", *_OF_TEXTS),
        *("seq2seq.mask_ratio", "seq2seq.span_corruption", "seq2seq.denoising", "seq2seq.mass"),
        "seq2seq.pair_mask_ratio",
    ),
    "--task": (),
}
"""Settings that `--help` shows, all for none; `--help-all` shows all."""


def parse(words: Sequence[str]) -> ShowTextOptions | ShowPairSettings | ShowTaskOptions:
    """Return what the words after `unblank show` ask for: a text, or an example of a task.

    Raises:
        SystemExit: after `--help` (code 0).
        ValueError: an option that does not fit to what is shown, or a value that is not allowed.
    """
    name = _mode(words)
    more = {} if name == "--task" else {"--task NAME --help": "Options for showing a task."}
    about = _DESCRIPTION if name == _TEXT else ""
    kind: type[ShowTextOptions | ShowPairSettings | ShowTaskOptions] = _KINDS[name]
    variants = Variants(name, _KINDS, more)
    command = "show --encoder-decoder" if name == _PAIR else "show"
    return parse_settings(command, kind, words, about=about, usual=_USUAL[name], variants=variants)


def run(settings: ShowTextOptions | ShowPairSettings | ShowTaskOptions) -> None:
    """Print a sample of a text, or an example of a task; errors as for either."""
    from unblank.consoles import TextConsole

    if isinstance(settings, ShowTaskOptions):
        from unblank.showing.task import show_task

        show_task(settings, TextConsole(highlight=False, soft_wrap=True))
        return
    from unblank.showing.text import show_pair, show_text

    console = TextConsole(highlight=False)
    if isinstance(settings, ShowPairSettings):
        show_pair(settings, console)
    else:
        show_text(settings, console)


def _mode(words: Sequence[str]) -> str:
    """Return what the words ask for, by their names and the family of the model."""
    flags = [word.partition("=")[0] for word in words if word.startswith("--")]
    names = [flag.removeprefix("--").replace("-", "_") for flag in flags]
    if "task" in names:
        return "--task"
    folders = map(Path, named_values(words, "--model", "--tokenizer"))
    return _PAIR if shows_pair(names, folders) else _TEXT
