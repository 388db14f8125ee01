"""Unblank: one library and command for blank-infilling language models.

`unblank.load(folder)` opens a model, `unblank.convert(source, output)` makes one of a published
checkpoint; `unblank.pretrain`, `finetune`, `evaluate` and `show` are the commands as calls.
Importing it makes transformers' Auto classes know our models, once they are loaded.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from unblank.registration import register_when_needed
from unblank.version import __version__

if TYPE_CHECKING:
    from unblank.api import Unblank, load
    from unblank.call_results import ModelScores, TrainedRun
    from unblank.calls import calibrate_model as calibrate
    from unblank.calls import evaluate_model as evaluate
    from unblank.calls import (
        fill_file,
        fill_file_stream,
        finetune,
        predict_file,
        predict_file_stream,
        prepare,
        pretrain,
        score_file,
        score_file_stream,
        show,
    )
    from unblank.conversion.convert import convert
    from unblank.rules.rule import Rule

__all__ = [
    "ModelScores",
    "Rule",
    "TrainedRun",
    "Unblank",
    "__version__",
    "calibrate",
    "convert",
    "evaluate",
    "fill_file",
    "fill_file_stream",
    "finetune",
    "load",
    "predict_file",
    "predict_file_stream",
    "prepare",
    "pretrain",
    "score_file",
    "score_file_stream",
    "show",
]

_HOMES = {
    "ModelScores": ("unblank.call_results", "ModelScores"),
    "Rule": ("unblank.rules.rule", "Rule"),
    "TrainedRun": ("unblank.call_results", "TrainedRun"),
    "Unblank": ("unblank.api", "Unblank"),
    "calibrate": ("unblank.calls", "calibrate_model"),
    "convert": ("unblank.conversion.convert", "convert"),
    "evaluate": ("unblank.calls", "evaluate_model"),
    "fill_file": ("unblank.calls", "fill_file"),
    "fill_file_stream": ("unblank.calls", "fill_file_stream"),
    "finetune": ("unblank.calls", "finetune"),
    "load": ("unblank.api", "load"),
    "predict_file": ("unblank.calls", "predict_file"),
    "predict_file_stream": ("unblank.calls", "predict_file_stream"),
    "prepare": ("unblank.calls", "prepare"),
    "pretrain": ("unblank.calls", "pretrain"),
    "score_file": ("unblank.calls", "score_file"),
    "score_file_stream": ("unblank.calls", "score_file_stream"),
    "show": ("unblank.calls", "show"),
}
"""Name -> module and name there: imported only when asked for, as they bring torch."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'unblank' has no attribute {name!r}")
    module, name_there = _HOMES[name]
    return getattr(import_module(module), name_there)


def __dir__() -> list[str]:
    return [*__all__]


register_when_needed()
