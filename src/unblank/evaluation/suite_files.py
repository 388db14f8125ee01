"""Reading suites from YAML, each file checked whole: a slip is named with its line.

The keys are those of the dataclasses in `suites`, but for `target` and `group` (one field or
several), `detokenize: wikitext`, and a way to write many sets as one: `languages`, each of which
stands for `{language}` in `files`.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast, get_args

from unblank.evaluation.pair_readers import PAIR_READERS
from unblank.evaluation.suites import (
    FactSet,
    FactsSuite,
    InfillingSuite,
    LanguageSuite,
    OwnFilesSuite,
    PairSet,
    PairsSuite,
    ParallelLayout,
    ParallelSet,
    QuestionSet,
    QuestionsSuite,
    SeveralSuites,
    Suite,
    TaskSuite,
    TextSet,
    TranslationSuite,
    WritingSet,
    WritingSuite,
)
from unblank.languages import find_language
from unblank.metrics.answers import ANSWER_METRICS
from unblank.metrics.questions import AnswerRules
from unblank.metrics.text import TextMetric
from unblank.prompting.entries import (
    Shapes,
    check_shapes,
    choice,
    files_pattern,
    line_of,
    require_known,
    text_list,
    whole_number,
)
from unblank.prompting.task_files import TEMPLATES
from unblank.prompting.yaml_lines import at_line, build_from_yaml, find_yaml, names_in

__all__ = ["load_suite", "suite_names"]

_SUITES = Path(__file__).parent / "suites"

_HEAD: Shapes = {"about": (str,), "measure": (str,)}
_LANGUAGE: Shapes = {**_HEAD, "sets": (dict,)}
_INFILLING: Shapes = {**_LANGUAGE, "max_tokens": (str,)}
_TASKS: Shapes = {**_HEAD, "tasks": (list,), "averaged": (dict,), "files": (dict,)}
_WRITING: Shapes = {**_LANGUAGE, "metrics": (list,)}
_TEXT_SET: Shapes = {"files": (str,), "field": (str,)}
_PERPLEXITY_SET: Shapes = {**_TEXT_SET, "detokenize": (str,)}
_PAIR_SET: Shapes = {
    "files": (str,), "languages": (list,), "reader": (str,), "good": (str,), "bad": (str,),
    "group": (str, list), "paradigm": (str,),
}  # fmt: skip
_FACT_KEYS = ("relation", "subject", "object", "aliases", "subject_id", "object_id", "language")
_FACT_SET: Shapes = dict.fromkeys(("files", "relations", *_FACT_KEYS), (str,))
_QUESTION_SET: Shapes = {"files": (str,), "rules": (str,)}
_PARALLEL_SET: Shapes = {"files": (str,), "layout": (str,), "directions": (list,)}
_WRITING_SET: Shapes = {
    "files": (str,), "languages": (list,), "source": (str,), "target": (str, list),
    "more_targets": (list,), "metrics": (list,),
}  # fmt: skip


def suite_names() -> tuple[str, ...]:
    """Return the names of the suites that come with the library."""
    return names_in(_SUITES)


def load_suite(name_or_file: str | Path) -> Suite:
    """Return a suite of the library by its name, or the suite that a YAML file describes.

    Raises:
        ValueError: an unknown name, or a file with a mistake; the message names it.
        FileNotFoundError: if the file is not there.

    Example:
        >>> load_suite("lambada").sets["lambada"].files
        'infill/lambada/{split}'
    """
    return build_from_yaml(find_yaml(name_or_file, _SUITES, "suite"), _build)


def _build(path: Path, entries: Any) -> Suite:
    if not isinstance(entries, dict) or "measure" not in entries:
        raise ValueError(f"a suite needs the key measure, one of {', '.join(_BUILDERS)}")
    return _BUILDERS[choice(entries, "measure", tuple(_BUILDERS), "")](path, entries)


def _language_suite(path: Path, entries: dict[str, Any]) -> Suite:
    check_shapes(entries, _LANGUAGE, "a suite")
    measure = cast("Any", str(entries["measure"]))
    sets = _text_sets(entries, _PERPLEXITY_SET if measure == "perplexity" else _TEXT_SET)
    return LanguageSuite(**_head(path, entries), measure=measure, sets=sets)


def _infilling_suite(path: Path, entries: dict[str, Any]) -> Suite:
    check_shapes(entries, _INFILLING, "a suite")
    max_tokens = whole_number(entries, "max_tokens")
    if not max_tokens:
        raise ValueError(
            f"{line_of(entries, 'max_tokens')}max_tokens, the longest answer in a blank, must be "
            "at least 1"
        )
    sets = _text_sets(entries, _TEXT_SET)
    return InfillingSuite(**_head(path, entries), sets=sets, max_tokens=max_tokens)


def _pairs_suite(path: Path, entries: dict[str, Any]) -> Suite:
    check_shapes(entries, _LANGUAGE, "a suite")
    sets: dict[str, PairSet] = {}
    for name, entry in _sets(entries, _PAIR_SET, "files"):
        given: dict[str, str] = {
            key: str(entry[key]) for key in ("good", "bad", "paradigm") if key in entry
        }
        if "reader" in entry:
            given["reader"] = choice(entry, "reader", tuple(PAIR_READERS), "")
        groups = text_list(entry, "group") or PairSet(files="").groups
        for title, files in _of_languages(name, entry):
            sets[title] = PairSet(files=files, groups=groups, **given)
    return PairsSuite(**_head(path, entries), sets=sets)


def _facts_suite(path: Path, entries: dict[str, Any]) -> Suite:
    check_shapes(entries, _LANGUAGE, "a suite")
    sets = {}
    for name, entry in _sets(entries, _FACT_SET, "files", "relations"):
        given = {key: str(entry[key]) for key in _FACT_KEYS if key in entry}
        relations = str(entry["relations"])
        sets[str(name)] = FactSet(files=files_pattern(entry, "lang"), relations=relations, **given)
    return FactsSuite(**_head(path, entries), sets=sets)


def _task_suite(path: Path, entries: dict[str, Any]) -> Suite:
    check_shapes(entries, _TASKS, "a suite")
    given = text_list(entries, "tasks")
    if not given:
        raise ValueError(f"{line_of(entries, 'tasks')}tasks needs at least one task")
    files = [
        find_yaml(path.parent / name if Path(name).suffix else name, TEMPLATES, "task")
        for name in given
    ]
    tasks = {file.stem: file for file in files}
    averaged = {}
    for name in entries.get("averaged", {}):
        require_known(name, tasks)
        averaged[str(name)] = _metrics(entries["averaged"], name, tuple(ANSWER_METRICS))
    found = {}
    for name, pattern in entries.get("files", {}).items():
        require_known(name, tasks)
        found[str(name)] = files_pattern({"files": pattern}, "lang")
    return TaskSuite(**_head(path, entries), tasks=tasks, averaged=averaged, files=found)


def _questions_suite(path: Path, entries: dict[str, Any]) -> Suite:
    check_shapes(entries, _LANGUAGE, "a suite")
    sets = {}
    for name, entry in _sets(entries, _QUESTION_SET, "files"):
        rules = cast("AnswerRules", choice(entry, "rules", get_args(AnswerRules), "squad"))
        sets[str(name)] = QuestionSet(files=files_pattern(entry, "lang"), rules=rules)
    return QuestionsSuite(**_head(path, entries), sets=sets)


def _writing_suite(path: Path, entries: dict[str, Any]) -> Suite:
    check_shapes(entries, _WRITING, "a suite")
    sets: dict[str, WritingSet] = {}
    for name, entry in _sets(entries, _WRITING_SET, "files", "source", "target"):
        metrics = _text_metrics(entry) or _text_metrics(entries)
        if not metrics:
            raise ValueError(f"{at_line(name)}the set {name} has no metrics, nor has the suite")
        sets.update(_written_sets(name, entry, metrics))
    return WritingSuite(**_head(path, entries), sets=sets)


def _translation_suite(path: Path, entries: dict[str, Any]) -> Suite:
    check_shapes(entries, _WRITING, "a suite")
    sets = {}
    for name, entry in _sets(entries, _PARALLEL_SET, "files"):
        layout = cast("ParallelLayout", choice(entry, "layout", get_args(ParallelLayout), "fields"))
        sets[str(name)] = ParallelSet(
            files=files_pattern(entry, "lang", needs_split=False),
            layout=layout,
            directions=text_list(entry, "directions") or ("*-*",),
        )
    metrics = _text_metrics(entries)
    if not metrics:
        raise ValueError("a suite of translations needs metrics")
    return TranslationSuite(**_head(path, entries), sets=sets, metrics=metrics)


def _several_suites(path: Path, entries: dict[str, Any]) -> Suite:
    check_shapes(entries, {**_HEAD, "suites": (list,)}, "several suites")
    suites = {}
    for name in text_list(entries, "suites"):
        suite = load_suite(path.parent / name if Path(name).suffix else name)
        if not isinstance(suite, TaskSuite | QuestionsSuite):
            raise ValueError(
                f"{at_line(name)}the suite {name} has neither tasks with labels nor questions"
            )
        suites[suite.name] = suite
    if not suites:
        raise ValueError(f"{line_of(entries, 'suites')}suites needs at least one suite")
    return SeveralSuites(**_head(path, entries), suites=suites)


def _own_files_suite(path: Path, entries: dict[str, Any]) -> Suite:
    check_shapes(entries, _HEAD, "a suite of your own files")
    return OwnFilesSuite(**_head(path, entries), measure=cast("Any", str(entries["measure"])))


_BUILDERS: dict[str, Callable[[Path, dict[str, Any]], Suite]] = {
    "perplexity": _language_suite,
    "lambada": _language_suite,
    "infilling": _infilling_suite,
    "minimal-pairs": _pairs_suite,
    "facts": _facts_suite,
    "understanding": _task_suite,
    "cloze": _own_files_suite,
    "classifier": _own_files_suite,
    "lm-eval": _own_files_suite,
    "writing": _writing_suite,
    "translation": _translation_suite,
    "questions": _questions_suite,
    "suites": _several_suites,
}
"""Name of what is measured -> the builder of a suite."""


def _head(path: Path, entries: Mapping[str, Any]) -> dict[str, str]:
    return {"name": path.stem, "about": str(entries.get("about", ""))}


def _sets(
    entries: Mapping[str, Any], shapes: Shapes, *required: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield name and entry of each set; ValueError for what it may not have, or must."""
    if not entries.get("sets"):
        raise ValueError(f"{line_of(entries, 'sets')}sets needs at least one set")
    for name, entry in entries["sets"].items():
        check_shapes(entry, shapes, f"the set {name}")
        for key in required:
            if not entry.get(key):
                raise ValueError(f"{at_line(name)}the set {name} needs the key {key}")
        yield name, entry


def _text_sets(entries: Mapping[str, Any], shapes: Shapes) -> dict[str, TextSet]:
    sets = {}
    for name, entry in _sets(entries, shapes, "files"):
        is_wikitext = "detokenize" in entry and choice(entry, "detokenize", ("wikitext",), "")
        sets[str(name)] = TextSet(
            files=files_pattern(entry),
            field=str(entry.get("field", "text")),
            is_wikitext=bool(is_wikitext),
        )
    return sets


def _written_sets(
    name: str, entry: Mapping[str, Any], metrics: tuple[TextMetric, ...]
) -> Iterator[tuple[str, WritingSet]]:
    """Yield a set, or one for each language."""
    languages = text_list(entry, "languages") or ("",)
    for (title, files), language in zip(_of_languages(name, entry), languages, strict=True):
        one = WritingSet(
            files=files,
            source=str(entry["source"]),
            targets=text_list(entry, "target"),
            more_targets=text_list(entry, "more_targets"),
            metrics=metrics,
            language=language and find_language(language).code,
            group=str(name) if language else "",
        )
        yield title, one


def _of_languages(name: str, entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield name and files of a set, or of that of each language."""
    languages = text_list(entry, "languages")
    files = files_pattern(entry, *["language"] * bool(languages))
    for language in languages or ("",):
        title = f"{name}-{language}" if language else str(name)
        yield title, files.replace("{language}", language)


def _text_metrics(entries: Mapping[str, Any]) -> tuple[TextMetric, ...]:
    return cast("tuple[TextMetric, ...]", _metrics(entries, "metrics", get_args(TextMetric)))


def _metrics(entries: Mapping[str, Any], key: str, known: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(choice({key: name}, key, known, "") for name in text_list(entries, key))
