"""`unblank evaluate`: measures a model; a table is printed, every prediction is kept as JSON."""

from collections.abc import Sequence

from unblank.evaluation.options import EvaluationOptions, suite_options

__all__ = ["parse", "run"]


def parse(arguments: Sequence[str]) -> EvaluationOptions:
    """Return the options of the suite that the words after `unblank evaluate` name."""
    import tyro

    suite = "perplexity"
    for word, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if word.partition("=")[0] == "--suite":
            suite = word.partition("=")[2] or following
    kind = suite_options(suite)
    return tyro.cli(
        kind,
        prog="unblank evaluate",
        description=kind.__doc__,
        args=arguments,
        config=(tyro.conf.PositionalRequiredArgs,),
    )


def run(settings: EvaluationOptions) -> None:
    """Measure, print the table on standard output, and write the JSON file.

    Raises:
        ValueError: an option, a file or a model that does not fit.
        FileNotFoundError: a model or data that is not there.
        ImportError: a package of the extra `eval` is missing.
    """
    from rich.console import Console

    from unblank.evaluation.results import to_table
    from unblank.evaluation.run import evaluate

    scores, path = evaluate(settings)
    console = Console()
    console.print(to_table(f"{settings.suite} of {settings.model}", scores))
    console.print(f"every prediction: {path}", highlight=False, markup=False, soft_wrap=True)
