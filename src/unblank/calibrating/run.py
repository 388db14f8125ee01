"""`unblank calibrate`: answer labelled examples, fit, measure on the rest, save to the folder."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from unblank.adapters.record import weights_identity
from unblank.api import load
from unblank.calibrating.asking import ask_candidates, ask_fills, ask_labels
from unblank.calibrating.labelled import Fitted, LabelledChoices, LabelledFills
from unblank.calibrating.parts import Parts, parts_of
from unblank.calibrating.report import CalibrationReport, measure_confidences, report_of
from unblank.calibrating.settings import AnswerKind, CalibrateSettings
from unblank.calibrating.thresholds import abstention_threshold, answered_from
from unblank.calibration.fitting import ISOTONIC_PACKAGE
from unblank.calibration.record import (
    CalibratedOn,
    Calibration,
    FillCalibration,
    LabelCalibration,
    read_calibration,
)
from unblank.extras import require_package
from unblank.finetuning.labels.tuned import has_label_head, open_tuned, tuned_on
from unblank.generation.candidates import ScoringOptions
from unblank.prompting.task import USUAL_THRESHOLD

__all__ = ["calibrate"]

_REPORTS = "calibration"
"""Folder of the reports in the folder of a model."""


def calibrate(settings: CalibrateSettings) -> tuple[CalibrationReport, list[str]]:
    """Learn how sure a model may be, and keep it in its folder.

    Returns:
        The report, and lines that say what was written where.

    Raises:
        FileNotFoundError: no such model, task or file.
        ValueError: settings or data that do not fit, too few answers, all of them right or all
            wrong, or numbers that are not finite.
        ImportError: fills are calibrated, and scikit-learn is not installed.
    """
    folder = Path(settings.model)
    kind = settings.kind or _usual_kind(folder, settings)
    settings.require_only_of(kind)
    if kind == "fills":
        require_package(ISOTONIC_PACKAGE, "calibrating fills")
    asked: Mapping[str, Any] = {}
    labelled: LabelledFills | LabelledChoices
    name: str = kind
    if kind == "labels":
        tuned = open_tuned(
            folder,
            settings.task,
            patterns=settings.patterns,
            layout=settings.layout,
            normalization=settings.normalization,
            device=settings.device,
            dtype=settings.dtype,
        )
        labelled, asked, name = ask_labels(tuned, settings), tuned.asked, tuned.task.name
    else:
        unblank = load(folder, device=settings.device, dtype=settings.dtype, calibration=False)
        if kind == "fills":
            labelled = ask_fills(unblank, settings)
        else:
            options = _scoring(settings)
            labelled = ask_candidates(unblank, options, settings)
            asked = options.asked(settings.candidates)
    fitted, source, report = _learned(name, kind, labelled, settings)
    replaced = _keep(folder, kind, name, fitted, source, asked)
    written = report.write(settings.report or folder / _REPORTS)
    left_out = [labelled.note] if isinstance(labelled, LabelledFills) and labelled.note else []
    return report, [*left_out, *replaced, f"kept in {folder}: {source}", *written]


def _usual_kind(folder: Path, settings: CalibrateSettings) -> AnswerKind:
    if settings.candidates or settings.candidates_field is not None:
        return "candidates"
    is_tuned = has_label_head(folder) or tuned_on(folder) is not None
    return "labels" if settings.task is not None or is_tuned else "fills"


def _scoring(settings: CalibrateSettings) -> ScoringOptions:
    if not settings.candidates and settings.candidates_field is None:
        raise ValueError("no candidates: give --candidates, or --candidates-field")
    return ScoringOptions(
        normalization=settings.normalization or "sum", content_free=settings.content_free
    )


def _learned(
    name: str,
    kind: AnswerKind,
    labelled: LabelledFills | LabelledChoices,
    settings: CalibrateSettings,
) -> tuple[Fitted, CalibratedOn, CalibrationReport]:
    """Learn from one part of the labelled answers, and measure on the other."""
    parts = parts_of(labelled.keys, settings.measured)
    is_right = labelled.is_right
    num_right = sum(is_right[number] for number in parts.fitted)
    if num_right in (0, len(parts.fitted)):
        raise ValueError(
            f"all {len(parts.fitted)} answers to learn from are {'right' if num_right else 'wrong'}"
            ": nothing can be learned of when the model is right; give answers of both kinds"
        )
    fitted = labelled.fit(parts.fitted, parts.folds)
    fitted, thresholds = _with_thresholds(labelled, fitted, parts, settings.most_wrong)
    before, after = labelled.confidences(None), labelled.confidences(fitted)
    of_measured = [is_right[number] for number in parts.measured]
    report = report_of(
        name if kind != "labels" else f"labels-{name}",
        {
            "kind": kind,
            "file": settings.data.name,
            "fitted": len(parts.fitted),
            "measured": len(parts.measured),
            "measured_share": settings.measured,
            "learned": {
                "form": fitted.form,
                "parameters": fitted.parameters(),
                "held_out_log_loss_of_forms": fitted.losses,
            },
            **thresholds,
        },
        before=before[parts.measured].tolist(),
        after=after[parts.measured].tolist(),
        is_right=of_measured,
        fitted=measure_confidences(
            after[parts.fitted].tolist(), [is_right[number] for number in parts.fitted]
        ),
    )
    source = CalibratedOn(
        file=settings.data.name,
        num_fitted=len(parts.fitted),
        num_measured=len(parts.measured),
        error_before=report.values["before"]["error"],
        error_after=report.values["after"]["error"],
    )
    return fitted, source, report


def _with_thresholds(
    labelled: LabelledFills | LabelledChoices,
    fitted: Fitted,
    parts: Parts,
    most_wrong: float | None,
) -> tuple[Fitted, dict[str, Any]]:
    """Return what was learned with its thresholds, and what they do on the part kept apart.

    Those of labels of which several may apply are kept if they make the mean F1 no worse there.
    """
    if isinstance(labelled, LabelledChoices) and labelled.labels:
        if most_wrong is not None:
            raise ValueError(
                "most_wrong applies where one label is given, and this task names several: leave "
                "it out; the threshold of each label is learned anyway"
            )
        found = labelled.sets(fitted, parts.fitted).best_thresholds()
        apart = labelled.sets(fitted, parts.measured)
        usual, best = (apart.macro_f1(one, USUAL_THRESHOLD) for one in ({}, found))
        scores = {"macro_f1_before": usual, "macro_f1_after": best}
        kept = found if best >= usual else {}
        return replace(fitted, thresholds=kept), {"thresholds": {"kept": kept, **scores}}
    if most_wrong is None:
        return fitted, {}
    confidences, is_right = labelled.given(fitted)
    threshold = abstention_threshold(*_some(confidences, is_right, parts.fitted), most_wrong)
    measured = answered_from(*_some(confidences, is_right, parts.measured), threshold)
    abstaining = {"most_wrong": most_wrong, "threshold": threshold, **measured}
    return replace(fitted, abstain_below=threshold), {"abstaining": abstaining}


def _some(
    confidences: Any, is_right: Sequence[bool], numbers: Sequence[int]
) -> tuple[list[float], list[bool]]:
    return confidences[numbers].tolist(), [is_right[number] for number in numbers]


def _keep(
    folder: Path,
    kind: AnswerKind,
    name: str,
    fitted: Fitted,
    source: CalibratedOn,
    asked: Mapping[str, Any],
) -> list[str]:
    """Write what was learned beside what is known of other answers; say what it replaces."""
    weights, said = weights_identity(folder), []
    try:
        known = read_calibration(folder, weights)
    except ValueError as error:
        known, said = None, [f"replaced: {error}"]
    found = known or Calibration(weights)
    of_choices = LabelCalibration(
        fitted.temperature, dict(asked), source, fitted.abstain_below, fitted.thresholds
    )
    if fitted.map is not None:
        of_fills = FillCalibration(fitted.map, source, fitted.abstain_below)
        found = replace(found, fills=of_fills)
    elif kind == "labels":
        found = replace(found, labels={**found.labels, name: of_choices})
    else:
        found = replace(found, candidates=of_choices)
    found.write(folder)
    return said
