"""`unblank generate`: sources in, answers out in their order, and scores of them."""

from functools import partial

from unblank.commands.generate_settings import GenerateSettings
from unblank.commands.parsing import parse_settings

__all__ = ["parse", "run"]

_USUAL = (
    *("input", "source", "output", "json", "stream", "references", "metrics", "glossary", "rules"),
    *("num_beams", "num_return", "do_sample", "temperature", "top_p", "seed", "max_tokens"),
    *("too_long", "device", "dtype"),
)
"""Settings that `--help` shows; `--help-all` shows all."""


parse = partial(parse_settings, "generate", GenerateSettings, usual=_USUAL)


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
