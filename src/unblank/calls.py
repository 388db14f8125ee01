"""The commands as Python calls: the same settings, sections as keywords.

`unblank.prepare`, `.pretrain`, `.finetune`, `.evaluate`, `.calibrate`, `.fill_file`, `.score_file`,
`.predict_file`, their forms `..._stream` and `.show` are these functions.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

from unblank.call_results import ModelScores, TrainedRun
from unblank.commands.parsing import settings_of_keywords
from unblank.in_memory import GivenData
from unblank.keyword_names import keywords_named
from unblank.path_arguments import disk_path, given_path, require_path_text
from unblank.settings.given import given_names, recipe_beside
from unblank.settings.recipes import from_mapping, merged_sections, read_mapping

if TYPE_CHECKING:
    from unblank.calibrating.report import CalibrationReport

__all__ = [
    "calibrate_model",
    "evaluate_model",
    "fill_file",
    "fill_file_stream",
    "finetune",
    "predict_file",
    "predict_file_stream",
    "prepare",
    "pretrain",
    "score_file",
    "score_file_stream",
    "show",
]

_Settings = TypeVar("_Settings")

_GIVEN_DATA = "given_data"
"""Folder of a run that holds the data that was given in memory."""


@keywords_named()
def pretrain(recipe: str | Path | None = None, **settings: Any) -> TrainedRun:
    """Pretrain a model as `unblank pretrain` does, and return the run.

    Args:
        recipe: YAML file of settings, which the keywords override.
        **settings: sections as dicts (`model={"preset": "tiny"}`), or dotted names
            (`**{"train.max_steps": 100}`). Data is files, a list of dicts, a pandas or polars frame
            or a `datasets.Dataset`.

    Raises:
        ValueError, TypeError, FileNotFoundError: as for `run_pretrain` and recipes.
    """
    from unblank.pretraining.run import run_pretrain
    from unblank.pretraining.settings import PretrainSettings

    return TrainedRun(_run(PretrainSettings, run_pretrain, recipe, settings))


@keywords_named()
def prepare(recipe: str | Path | None = None, **settings: Any) -> Path:
    """Tokenize the text of a run beforehand as `unblank prepare` does.

    Args and errors as for `pretrain`, which then finds it.

    Returns:
        The folder of prepared text.
    """
    from unblank.pretraining.prepare import run_prepare
    from unblank.pretraining.settings import PretrainSettings

    return _run(PretrainSettings, run_prepare, recipe, settings)


@keywords_named()
def finetune(recipe: str | Path | None = None, **settings: Any) -> TrainedRun:
    """Fine-tune a model as `unblank finetune` does; arguments and errors as for `pretrain`."""
    from unblank.finetuning.run import run_finetune
    from unblank.finetuning.settings import FinetuneSettings

    return TrainedRun(_run(FinetuneSettings, run_finetune, recipe, settings))


@keywords_named()
def evaluate_model(
    model: str | Path | TrainedRun, suite: str = "perplexity", **options: Any
) -> ModelScores:
    """Measure a model as `unblank evaluate` does.

    Args:
        model: folder, or what `pretrain` or `finetune` returned.
        suite: what to measure.
        **options: of the suite, named as the command's; data may be in memory, as for `pretrain`.

    Raises:
        ValueError, TypeError, FileNotFoundError, ImportError: as for the command.
    """
    from unblank.evaluation.run import evaluate
    from unblank.evaluation.suite_options import suite_options

    folder = _folder_of(model)
    data = GivenData(folder / "evaluations" / _GIVEN_DATA)
    kind = suite_options(suite)
    given = options.get("file")
    if isinstance(given, list | tuple) and not given:
        raise ValueError(f"file is {given!r}, without an entry: leave it out, or give one")
    values = {name: data.named(value, name) for name, value in options.items()}
    made = settings_of_keywords(kind, {"model": str(folder), "suite": suite, **values})
    with data.written():
        scores, path = evaluate(made)
    return ModelScores(tuple(scores), path)


@keywords_named()
def fill_file(
    model: str | Path | TrainedRun, input: Any, output: str | Path, **options: Any
) -> list[dict[str, Any]]:
    """Fill the blanks of every text of a file as `unblank fill --input --output` does.

    Args:
        model: folder, or what `pretrain` or `finetune` returned.
        input: file of texts, or data in memory as for `pretrain`.
        output: file for the answers: .jsonl, .csv, .tsv or .parquet.
        **options: named as the command's.

    Returns:
        The answers, one a record, in order; `error` says why a record was not filled.

    Raises:
        ValueError, TypeError, FileNotFoundError, FileExistsError: as for the command; a record that
            cannot be filled raises nothing.
    """
    return list(fill_file_stream(model, input, output, **options))


def fill_file_stream(
    model: str | Path | TrainedRun, input: Any, output: str | Path, **options: Any
) -> Iterator[dict[str, Any]]:
    """Yield the answers of `fill_file` as they are made, so that not all are in memory.

    Args and errors as for `fill_file`; the output is there once all answers were taken, and those
    that were taken are kept for the next call if the others are not.
    """
    from unblank.commands.fill_printing import fill_to_file
    from unblank.commands.fill_settings import FillSettings

    if isinstance(order := options.get("order"), Sequence) and not isinstance(order, str):
        options["order"] = tuple(map(str, order))  # as words of the command
    with keywords_named(), _given_input(input) as path:
        yield from fill_to_file(_file_settings(FillSettings, model, path, output, options))


@keywords_named()
def score_file(
    model: str | Path | TrainedRun, input: Any, output: str | Path, **options: Any
) -> list[dict[str, Any]]:
    """Score candidates in every text of a file as `unblank score --input --output` does.

    Args, results and errors as for `fill_file`; `candidates` or `candidates_field` must be given.
    """
    return list(score_file_stream(model, input, output, **options))


def score_file_stream(
    model: str | Path | TrainedRun, input: Any, output: str | Path, **options: Any
) -> Iterator[dict[str, Any]]:
    """Yield the answers of `score_file` as they are made; see `fill_file_stream`."""
    from unblank.commands.score import ScoreSettings, score_to_file

    with keywords_named(), _given_input(input) as path:
        yield from score_to_file(_file_settings(ScoreSettings, model, path, output, options))


@keywords_named()
def predict_file(
    model: str | Path | TrainedRun, input: Any, output: str | Path, **options: Any
) -> list[dict[str, Any]]:
    """Predict the labels of every record of a file as `unblank predict` does.

    Args, results and errors as for `fill_file`; the task is the one that the model was tuned on,
    unless `task` names another.
    """
    return list(predict_file_stream(model, input, output, **options))


def predict_file_stream(
    model: str | Path | TrainedRun, input: Any, output: str | Path, **options: Any
) -> Iterator[dict[str, Any]]:
    """Yield the answers of `predict_file` as they are made; see `fill_file_stream`.

    The report, if there are labels, is written after the last one.
    """
    from unblank.commands.predict import PredictSettings, predict_to_file

    folder, written = _folder_of(model), disk_path(output, "output")
    with keywords_named(), _given_input(input) as path:
        given = {"model": str(folder), "input": path, "output": written, **options}
        predicted = predict_to_file(settings_of_keywords(PredictSettings, given))
        yield from predicted
    if predicted.report is not None:
        predicted.report.write(written)


@keywords_named()
def calibrate_model(
    model: str | Path | TrainedRun, data: Any, **options: Any
) -> "CalibrationReport":
    """Learn how sure a model may be as `unblank calibrate` does, and keep it in its folder.

    Args:
        model: folder, or what `pretrain` or `finetune` returned.
        data: file with known answers, or data in memory as for `pretrain`.
        **options: named as the command's.

    Raises:
        ValueError, TypeError, FileNotFoundError, ImportError: as for the command.
    """
    from unblank.calibrating.run import calibrate
    from unblank.calibrating.settings import CalibrateSettings

    folder = _folder_of(model)
    with _given_input(data, "data") as path:
        given = {"model": str(folder), "data": path, **options}
        return calibrate(settings_of_keywords(CalibrateSettings, given))[0]


def _folder_of(model: str | Path | TrainedRun) -> Path:
    return model.folder if isinstance(model, TrainedRun) else disk_path(model, "model")


@contextmanager
def _given_input(given: Any, name: str = "input") -> Iterator[str]:
    """Give the path of a file, or of one that holds data in memory for a while."""
    with TemporaryDirectory() as folder:
        data = GivenData(Path(folder))
        path = data.named(given, name)
        if not isinstance(path, str):
            raise TypeError(
                f"{name} is {given!r}: give a file, or records (dicts, a pandas or polars frame, a "
                "Dataset)"
            )
        require_path_text(path, name)
        data.write()
        yield path


def _file_settings(
    kind: type[_Settings],
    model: str | Path | TrainedRun,
    path: str,
    output: str | Path,
    options: Mapping[str, Any],
) -> _Settings:
    """Return the settings of a command that answers the records of a file."""
    folder = _folder_of(model)
    given = {
        "model": str(folder),
        "text": (),
        "input": path,
        "output": disk_path(output, "output"),
    }
    return settings_of_keywords(kind, {**given, **options})


@keywords_named()
def show(text: str | PathLike[str] | None = None, **options: Any) -> None:
    """Print what a model sees of a text, or of an example of a task, as `unblank show` does.

    Args:
        text: the text, or a file of texts; None with `task`.
        **options: named as the command's; `encoder_decoder=True`, a translation, a setting of
            `seq2seq` or the folder of such a model shows a text as DeltaLM and GanLM see it.

    Raises:
        ValueError, TypeError, FileNotFoundError: as for the command.
    """
    from unblank.consoles import TextConsole
    from unblank.showing.options import (
        ShowPairOptions,
        ShowTaskOptions,
        ShowTextOptions,
        shows_pair,
    )
    from unblank.showing.task import show_task
    from unblank.showing.text import show_pair, show_text

    console = TextConsole(highlight=False)
    is_asked = options.pop("encoder_decoder", False)
    given_folders = [name for name in ("model", "tokenizer") if options.get(name) is not None]
    folders = (disk_path(options[name], name) for name in given_folders)
    named = str(given_path(text, "text")) if isinstance(text, PathLike) else text
    given = _sections(options) | ({} if text is None else {"text": named})
    if "task" in given:
        show_task(settings_of_keywords(ShowTaskOptions, given), console)
    elif is_asked or shows_pair(options, folders):
        show_pair(settings_of_keywords(ShowPairOptions, given), console)
    else:
        show_text(settings_of_keywords(ShowTextOptions, given), console)


def _run(
    kind: type, run: Callable[..., Path], recipe: str | Path | None, settings: Mapping[str, Any]
) -> Path:
    base = read_mapping(recipe) if recipe is not None else {}
    named = _sections(settings)
    flags = _leaf_names(named)
    merged = merged_sections(recipe_beside(kind, flags, base), named)
    if not isinstance(merged.get("data", {}), Mapping):
        raise TypeError(
            f"data is a {type(merged['data']).__name__}: give a section, such as "
            'data={"train": [...]}'
        )
    made: Any = from_mapping(kind, {**merged, "data": {}})
    data = GivenData(Path(made.train.output_dir) / _GIVEN_DATA)
    values = merged.get("data", {})
    named = {name: data.named(value, f"data.{name}") for name, value in values.items()}
    made = from_mapping(kind, {**merged, "data": named})
    given = given_names(made, flags=flags, recipe=base)
    with data.written():
        return run(made, given=given)


def _sections(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return sections as in a recipe; dotted names are put into theirs."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        *outer, last = name.split(".")
        nested: Any = {last: value}
        for section in reversed(outer):
            nested = {section: nested}
        found = merged_sections(found, nested)
    return found


def _leaf_names(mapping: Mapping[str, Any], prefix: str = "") -> set[str]:
    names: set[str] = set()
    for name, value in mapping.items():
        is_section = isinstance(value, Mapping)
        names |= _leaf_names(value, f"{prefix}{name}.") if is_section else {f"{prefix}{name}"}
    return names
