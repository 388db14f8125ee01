"""One measurement: opens the model, runs one suite, writes scores and predictions as JSON."""

import platform
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console

from unblank.adapters.record import AdapterRecord, has_adapter
from unblank.api import load
from unblank.evaluation.infilling import run_infilling
from unblank.evaluation.lambada import run_lambada
from unblank.evaluation.options import EvaluationOptions, LmEvalOptions
from unblank.evaluation.perplexity import run_perplexity
from unblank.evaluation.results import Score, TaskResult, plain, to_json
from unblank.evaluation.session import Session
from unblank.evaluation.understanding import run_cloze, run_understanding
from unblank.evaluation.writing import WRITING, run_writing
from unblank.integrity import file_facts, write_at_once
from unblank.prompting.data_sets import CLASSIFICATION, GLUE, SUPERGLUE

__all__ = ["SUITES", "evaluate"]


def _run_lm_eval(session: Session[LmEvalOptions]) -> Iterator[TaskResult]:
    """Import lm-eval, which is slow to, only when it is asked for."""
    try:
        from unblank.evaluation.lm_harness import run_lm_eval
    except ImportError as error:
        raise ImportError(
            f"the suite lm-eval needs: pip install 'unblank[eval]' ({error})"
        ) from error
    yield from run_lm_eval(session)


SUITES: dict[str, Callable[[Session[Any]], Iterator[TaskResult]]] = {
    "perplexity": run_perplexity,
    "lambada": run_lambada,
    "infilling": run_infilling,
    "superglue": partial(run_understanding, parts=SUPERGLUE),
    "glue": partial(run_understanding, parts=GLUE),
    "classification": partial(run_understanding, parts=CLASSIFICATION),
    "cloze": run_cloze,
    "lm-eval": _run_lm_eval,
    **{name: partial(run_writing, tasks=tasks) for name, tasks in WRITING.items()},
}

PACKAGES = (
    "unblank", "torch", "transformers", "tokenizers", "numpy", "sacrebleu", "scikit-learn",
    "lm_eval",
)  # fmt: skip


def evaluate(config: EvaluationOptions) -> tuple[list[Score], Path]:
    """Measure, write the JSON file (again after each part), and return scores and its path.

    Raises:
        ValueError: an option, a file or a model that does not fit.
        FileNotFoundError: a model or data that is not there.
        ImportError: a package of the extra `eval` is missing.
    """
    session = Session(
        load(config.model, device=config.device, dtype=config.dtype),
        config,
        Console(stderr=True),
    )
    if session.model.config.is_encoder_decoder and config.suite not in WRITING:
        raise ValueError(
            f"{config.model} is an encoder-decoder ({session.model.config.model_type}) and fills "
            f"no blanks: its suites are {', '.join(WRITING)}"
        )
    path = config.output or _default_output(config)
    path.parent.mkdir(parents=True, exist_ok=True)
    results: list[TaskResult] = []
    files = _weights(Path(config.model))
    started = time.perf_counter()

    def write(is_complete: bool) -> None:
        seconds = time.perf_counter() - started
        about = {"complete": is_complete, **_about(session, files, seconds)}
        write_at_once(path, to_json(about, results))

    for result in SUITES[config.suite](session):
        results.append(result)
        write(is_complete=False)
    write(is_complete=True)
    return [score for result in results for score in result.scores], path


def _weights(folder: Path) -> dict[str, Any]:
    """Return size and hash of each file of weights, those of an adapter's base model included."""
    files = {one.name: file_facts(one) for one in sorted(folder.glob("*.safetensors"))}
    if has_adapter(folder):
        base = Path(AdapterRecord.read(folder).base_model)
        files |= {str(base / name): facts for name, facts in _weights(base).items()}
    return files


def _default_output(config: EvaluationOptions) -> Path:
    own = getattr(config, "file", ())
    name = "own" if own else getattr(config, "split", "validation")
    return Path(config.model) / "evaluations" / f"{config.suite}.{name}.json"


def _about(
    session: Session[EvaluationOptions], files: Mapping[str, Any], seconds: float
) -> dict[str, Any]:
    """Return what the scores depend on."""
    folder = Path(session.config.model)
    return {
        "made_by": f"unblank {_version('unblank')} evaluate",
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": seconds,
        "model": {
            "folder": str(folder.resolve()),
            "files": files,
            "parameters": sum(weight.numel() for weight in session.model.parameters()),
            "device": str(session.model.device),
            "dtype": str(session.model.dtype).removeprefix("torch."),
        },
        "config": plain(session.config),
        "versions": {"python": platform.python_version()}
        | {name: _version(name) for name in PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
