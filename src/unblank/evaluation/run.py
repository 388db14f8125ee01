"""One measurement: opens the model, runs one suite, writes scores and predictions as JSON."""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path
from typing import Any

from unblank.adapters.record import AdapterRecord, has_adapter
from unblank.api import Unblank, load
from unblank.atomic_folders import absent_folders, used_folder
from unblank.consoles import TextConsole
from unblank.data.language_sources import find_entry_files
from unblank.engine.parallel import World
from unblank.engine.replicas import join_replicas
from unblank.evaluation.batch_cache import BatchCache
from unblank.evaluation.heat_maps import direction_maps, draw_heat_maps, language_maps
from unblank.evaluation.language_tables import languages_csv, languages_markdown
from unblank.evaluation.measuring import measure
from unblank.evaluation.options import EvaluationOptions, LmEvalOptions
from unblank.evaluation.pair_plot import draw_pairs
from unblank.evaluation.results import Score, SuiteResult, plain, results_json
from unblank.evaluation.session import Session
from unblank.evaluation.suite_files import load_suite, suite_names
from unblank.evaluation.suites import (
    PairsSuite,
    QuestionsSuite,
    SeveralSuites,
    Suite,
    TaskSuite,
    TranslationSuite,
    WritingSuite,
)
from unblank.evaluation.task_options import ClassifierOptions, ClozeOptions, UnderstandingOptions
from unblank.evaluation.written_answers import OFF_TARGET
from unblank.extras import picture_note, require_package
from unblank.families.loading import load_folder
from unblank.families.table import family_of_model
from unblank.finetuning.labels.tuned import has_label_head, open_tuned
from unblank.installed import installed_versions
from unblank.integrity import file_facts, write_atomically
from unblank.metrics.bleu_tokenizers import require_bleu_tokenizer
from unblank.metrics.packages import require_metric_packages
from unblank.models.half_weights import answering_model, weights_dtype
from unblank.plurals import counted
from unblank.process import is_main_process
from unblank.prompting import load_task
from unblank.shared_batches import sharing_batches
from unblank.untrusted.json_text import read_json_object
from unblank.version import __version__

__all__ = ["evaluate", "require_suite_packages"]

_PACKAGES = (
    "unblank", "torch", "transformers", "tokenizers", "numpy", "sacrebleu", "scikit-learn",
    "lm_eval",
)  # fmt: skip

_FOR_ALL = (PairsSuite, WritingSuite, TranslationSuite, QuestionsSuite)
"""Suites that need no blanks in a text."""
_BESIDE = (".yaml", ".py", ".jsonl")
"""Endings of what a task of lm-eval may include, and of its data; not of results."""


def evaluate(options: EvaluationOptions) -> tuple[list[Score], Path]:
    """Measure, write the JSON file (again after each part), and return scores and its path.

    Processes that torchrun started share out the batches; only the main one writes.

    Raises:
        ValueError: an option, a file or a model that does not fit.
        FileNotFoundError: a model or data that is not there.
        ImportError: a package of the extra `eval` is missing.
    """
    suite = load_suite(options.suite)
    require_suite_packages(options)
    session = _session(options, suite)
    family = family_of_model(session.model)
    if session.tuned is None and family.writes != "blanks" and not isinstance(suite, _FOR_ALL):
        others = [name for name in suite_names() if isinstance(load_suite(name), _FOR_ALL)]
        raise ValueError(
            f"{options.model} is a {family.name}, which fills no blanks: choose a suite of "
            f"{', '.join(others)}"
        )
    with join_replicas() as world:
        path = world.gather(_free_output(options))[0]
        files = world.gather(_weights(Path(options.model)) if world.is_main else {})[0]
        absent = world.gather(absent_folders(path.parent))[0]
        with (
            used_folder(path.parent, absent),
            _batch_cache(session, path, files, world) as cache,
            sharing_batches(world.rank, world.size, world.gather, cache.get),
        ):
            results = _measured_parts(session, suite, path if world.is_main else None, files)
    scores = [score for result in results for score in result.scores]
    if is_main_process():
        if _has_languages(scores):
            write_atomically(path.with_suffix(".csv"), languages_csv(scores))
            write_atomically(path.with_suffix(".md"), languages_markdown(scores))
        _draw(session, suite, scores, path.with_suffix(".png"))
    return scores, path


@contextmanager
def _batch_cache(
    session: Session[EvaluationOptions], path: Path, files: Mapping[str, Any], world: World
) -> Iterator[BatchCache]:
    """Keep what is computed until all is measured, and go on with what an interrupted one left."""
    task = {
        "config": plain(replace(session.options, output=None)),
        "weights": files,
        "texts": _read_files(session),
        "versions": installed_versions(_PACKAGES),
        "shared_by": "lengths",  # what is cached is known by the number of batches
    }
    cache = BatchCache(path, task, world.rank, world.size)
    if cache.is_other:
        session.say(
            "note: an interrupted measurement of something else, or by another number of "
            "processes, is not continued"
        )
    if any(world.gather(cache.num_cached)):
        session.say(f"continuing after {counted(cache.num_cached, 'batch', 'batches')}")
    try:
        yield cache
    except BaseException:
        cache.write()
        if cache.is_empty:
            cache.discard()
        raise
    cache.discard()
    world.wait()  # once it is over, nothing is left by any process


def _read_files(session: Session[EvaluationOptions]) -> list[tuple[str, int, int, int]]:
    """Return path, size, time of change and number of the files that may be read.

    These are the texts, an index, and the user's own task files; beside one of lm-eval also what it
    may include or read. Of a file at a URL the number stands for its version.
    """
    options = session.options
    if named := getattr(options, "file", ()):
        found = find_entry_files(named)
    elif isinstance(options, LmEvalOptions):
        folders = {Path(name).parent for name in options.tasks}
        beside = (path for folder in folders for path in folder.glob("*"))  # of none, nothing
        found = tuple(path for path in beside if path.suffix in _BESIDE and path.is_file())
    else:
        found = _files_below(getattr(options, "data", None) or os.environ.get("UNBLANK_DATA"))
    found += _files_below(getattr(options, "retrieve", None))
    tasks = {Path(name) for name in getattr(options, "tasks", ())}
    if session.tuned is not None:
        tasks.add(session.tuned.task.path)
    found += tuple(path for path in tasks if path.is_file())
    facts = {str(path): path.stat() for path in found}
    return sorted((name, one.st_size, one.st_mtime_ns, one.st_ino) for name, one in facts.items())


def _files_below(root: str | None) -> tuple[Path, ...]:
    return tuple(path for path in Path(root).rglob("*") if path.is_file()) if root else ()


def _measured_parts(
    session: Session[EvaluationOptions], suite: Suite, path: Path | None, files: Mapping[str, Any]
) -> list[SuiteResult]:
    """Return what is measured, and write it, again after each part.

    Args:
        session: the model and the settings.
        suite: what to measure.
        path: of the file; None in a process that does not write it.
        files: of weights, with size and hash.
    """
    results: list[SuiteResult] = []
    started = time.perf_counter()

    def write(is_complete: bool) -> None:
        if path is not None:
            seconds = time.perf_counter() - started
            about = {"complete": is_complete, **_about(session, files, seconds)}
            write_atomically(path, results_json(about, results))

    for result in measure(session, suite):
        results.append(result)
        write(is_complete=False)
    write(is_complete=True)
    return results


def _draw(
    session: Session[EvaluationOptions], suite: Suite, scores: Sequence[Score], path: Path
) -> None:
    """Draw what a suite has a picture of: minimal pairs, directions, and several languages."""
    title = f"{session.options.suite} of {session.options.model}"
    if isinstance(suite, PairsSuite):
        is_drawn = draw_pairs(title, scores, path)
    elif maps := direction_maps(scores):
        is_drawn = draw_heat_maps(title, maps, path, rows="from", columns="into")
    elif _has_languages(scores) and (maps := language_maps(scores)):
        is_drawn = draw_heat_maps(title, maps, path)
    else:
        return
    session.say(picture_note(path, is_drawn=is_drawn))


def _has_languages(scores: Sequence[Score]) -> bool:
    return len({score.language for score in scores}) > 1


def require_suite_packages(options: EvaluationOptions) -> None:
    """Raise ImportError, before a model is opened, if a suite's scores need what is not there."""
    suite = load_suite(options.suite)
    metrics: list[str] = []
    if isinstance(suite, WritingSuite):
        metrics = [metric for part in suite.sets.values() for metric in part.metrics]
        if len({part.language for part in suite.sets.values()}) > 1:
            metrics.append(OFF_TARGET)
    elif isinstance(suite, TranslationSuite):
        metrics = [*suite.metrics, OFF_TARGET]
    elif isinstance(options, UnderstandingOptions | ClozeOptions | ClassifierOptions):
        tasks = suite.tasks if isinstance(suite, TaskSuite) else {}
        chosen = [str(tasks.get(name, name)) for name in options.tasks] or map(str, tasks.values())
        metrics = [metric for name in chosen for metric in load_task(name).metrics]
    elif isinstance(suite, SeveralSuites):
        parts = [part for part in suite.suites.values() if isinstance(part, TaskSuite)]
        paths = [path for part in parts for path in part.tasks.values()]
        metrics = [metric for path in paths for metric in load_task(path).metrics]
    elif getattr(options, "retrieve", None) is not None:
        require_package("bm25s", "an index of passages")
    elif options.suite == "lm-eval":
        require_package("lm_eval", "the suite lm-eval")
    require_metric_packages(metrics)
    if "bleu" in metrics:
        require_bleu_tokenizer(getattr(options, "bleu_tokenizer", "auto"))


def _session(options: EvaluationOptions, suite: Suite) -> Session[EvaluationOptions]:
    console = TextConsole(stderr=True, quiet=not is_main_process())
    if not isinstance(options, ClassifierOptions):
        return Session(_open(options, suite), options, console)
    folder = Path(options.model)
    if not has_label_head(folder):
        raise ValueError(f"{folder} has no classification head: choose the suite cloze")
    task = options.tasks[0] if options.tasks else None
    tuned = open_tuned(folder, task, device=options.device, dtype=options.dtype)
    return Session(Unblank(tuned.model, tuned.tokenizer), options, console, tuned)


def _open(options: EvaluationOptions, suite: Suite) -> Unblank:
    """Return the model; sentences can be scored by one that writes nothing, too."""
    folder = Path(options.model)
    if not isinstance(suite, PairsSuite) or has_adapter(folder):
        return load(folder, device=options.device, dtype=options.dtype)
    model, tokenizer = load_folder(
        folder, device=options.device, dtype=options.dtype, must_write=False
    )
    return Unblank(answering_model(model), tokenizer)


def _weights(folder: Path) -> dict[str, Any]:
    """Return size and hash of each file of weights, those of an adapter's base model included."""
    files = {one.name: file_facts(one) for one in sorted(folder.glob("*.safetensors"))}
    if has_adapter(folder):
        base = Path(AdapterRecord.read(folder).base_model)
        files |= {str(base / name): facts for name, facts in _weights(base).items()}
    return files


def _free_output(options: EvaluationOptions) -> Path:
    """Return the file for the results, which holds none of another measurement.

    Raises:
        FileExistsError: if the one that was asked for does.
    """
    if options.output is not None:
        if not _is_free(options.output, options):
            raise FileExistsError(
                f"{options.output} has the results of another measurement: choose another "
                "--output, or remove it"
            )
        return options.output
    own = getattr(options, "file", ())
    name = "own" if own else getattr(options, "split", "validation")
    folder = Path(options.model) / "evaluations"
    names = (
        f"{options.suite}.{name}{end}.json" for end in chain([""], map("-{}".format, count(2)))
    )
    return next(folder / one for one in names if _is_free(folder / one, options))


def _is_free(path: Path, options: EvaluationOptions) -> bool:
    """Whether there is no such file, or it has an earlier result of the same measurement."""
    if not path.exists():
        return True
    try:
        known = read_json_object(path)["config"]
    except (ValueError, KeyError, TypeError):
        return False
    return _measured(known) == _measured(json.loads(json.dumps(plain(options))))


def _measured(options: dict[str, Any]) -> dict[str, Any]:
    """Return what a measurement is of, without how it is computed and where its result goes."""
    how = ("output", "device", "dtype", "batch_size")
    return {name: value for name, value in options.items() if name not in how}


def _about(
    session: Session[EvaluationOptions], files: Mapping[str, Any], seconds: float
) -> dict[str, Any]:
    """Return what the scores depend on."""
    folder = Path(session.options.model)
    return {
        "made_by": f"unblank {__version__} evaluate",
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": seconds,
        "model": {
            "folder": str(folder.resolve()),
            "files": files,
            "parameters": sum(weight.numel() for weight in session.model.parameters()),
            "device": str(session.model.device),
            "dtype": str(weights_dtype(session.model)).removeprefix("torch."),
        },
        "config": plain(session.options),
        "versions": installed_versions(_PACKAGES),
    }
