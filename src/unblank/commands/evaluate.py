"""`unblank evaluate`: measures a model; a table is printed, every prediction is kept as JSON."""

from collections.abc import Sequence

from unblank.commands.parsing import Variants, parse_settings
from unblank.commands.words import named_values
from unblank.evaluation.options import EvaluationOptions
from unblank.evaluation.suite_options import SUITE_OPTIONS, suite_options

__all__ = ["parse", "run"]

_USUAL = "perplexity"


def parse(words: Sequence[str]) -> EvaluationOptions:
    """Return the options of the suite that the words after `unblank evaluate` name.

    Raises:
        SystemExit: after `--help` (code 0).
        ValueError: no such suite, an option that it does not have, or a value that does not fit.
    """
    suite = (named_values(words, "--suite") or [_USUAL])[-1]
    kind = suite_options(suite)
    more = {"--suite NAME --help": "Options of another suite."}
    kinds = {f"--suite {name}": one for name, one in SUITE_OPTIONS.items()}
    names = sorted(SUITE_OPTIONS, key=lambda name: name != _USUAL)
    variants = Variants(f"--suite {suite}", kinds, more, option="suite", choices=names)
    return parse_settings("evaluate", kind, words, variants=variants)


def run(settings: EvaluationOptions) -> None:
    """Measure, print the table on standard output, and write the JSON file.

    Raises:
        ValueError: an option, a file or a model that does not fit.
        FileNotFoundError: a model or data that is not there.
        ImportError: a package of the extra `eval` is missing.
    """
    from unblank.consoles import TextConsole
    from unblank.evaluation.language_tables import scores_table
    from unblank.evaluation.run import evaluate
    from unblank.process import is_main_process

    scores, path = evaluate(settings)
    if not is_main_process():
        return
    console = TextConsole()
    console.print(scores_table(f"{settings.suite} of {settings.model}", scores))
    console.print(f"predictions: {path}", highlight=False, markup=False, soft_wrap=True)
