"""`unblank predict`: the labels of every record of a file, and a report if it has labels."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from unblank.commands.parsing import parse_settings
from unblank.settings.choices import DType, Layout, Normalization
from unblank.settings.marks import DataPath, PathText, Positional
from unblank.settings.ranges import NotNegative, Positive, PositiveShare, check_values
from unblank.terminal_text import print_message

if TYPE_CHECKING:
    from unblank.answering.predict import PredictedRecords

__all__ = ["PredictSettings", "parse", "predict_to_file", "run"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictSettings:
    """Predict the labels of every record of a file.

    unblank predict runs/mails mails.csv labelled.csv

    MODEL is what `unblank finetune` made of a task with labels, in any way: in a blank or by a
    classifier, all weights, LoRA or a trained prompt; or a pretrained GLM with --task. If the
    records have labels, a report says how often they are predicted.
    """

    model: Positional[PathText]
    """Folder of a model, a classifier, an adapter or a trained prompt."""
    input: Positional[DataPath]
    """File of records, of any format (docs/data.md), with the fields that the task needs."""
    output: Positional[Path]
    """File for the predictions: .jsonl, .csv, .tsv or .parquet, a record for every record of the
    input, with its other fields. The same command again goes on where an interrupted one
    stopped."""
    task: PathText | None = None
    """Name of a task, or your own YAML file. Default: the one that the model was tuned on."""
    patterns: NotNegative[tuple[int, ...]] = ()
    """Numbers of the task's patterns, counted from 0; the probabilities of several are averaged.
    Default: those that the model was tuned with, or the task's own choice."""
    layout: Layout | None = None
    """How the model answers: see cloze.layout of finetune. Default: as it was tuned, else in a
    blank."""
    normalization: Normalization | None = None
    """How the words of labels are compared: by the sum or the mean of their tokens'
    log-probabilities, or without what the prompt scores with empty fields (pmi), or with empty ones
    and N/A, so that all are equal without content (contextual). Default: as it was tuned, else as
    the task says."""
    abstain_below: PositiveShare[float | None] = None
    """Predict nothing where the best label has a lower probability, from 0 to 1; such records are
    marked as abstained, and keep their probabilities. Default: what `unblank calibrate
    --most-wrong` has learned, else always a label."""
    batch_size: Positive[int] = 32
    """Number of examples scored together."""
    overwrite: bool = False
    """Replace OUTPUT if it exists, and what another command left of it."""
    device: str = "auto"
    """auto (a GPU if there is one), cpu or cuda."""
    calibration: bool = True
    """Use what `unblank calibrate` has kept in the model's folder."""
    dtype: DType | None = None
    """Data type of the computation; fp16 is fastest on most CPUs, and there rounds weights only.
    Default: as the model was saved."""

    def __post_init__(self) -> None:
        check_values(self)


parse = partial(parse_settings, "predict", PredictSettings)


def run(settings: PredictSettings) -> None:
    """Predict, write the file, and print and write the report if there are labels.

    Raises:
        ValueError: model, task and records do not fit; also, once all is written, if some records
            could not be labelled.
        FileNotFoundError: the model, the task or the input is not there.
        FileExistsError: the output is there already.
    """
    from unblank.commands.texts import refusals_said
    from unblank.consoles import TextConsole

    predicted = predict_to_file(settings)
    said = refusals_said(predicted, settings.output, "labelled")
    if predicted.report is not None:
        TextConsole(highlight=False).print(predicted.report.shown())
        for line in predicted.report.write(settings.output):
            print_message(line)
    if said:
        raise ValueError(said)


def predict_to_file(settings: PredictSettings) -> "PredictedRecords":
    """Return the predictions, which are made as they are gone through; see `predict_records`."""
    from unblank.adapters.calibration import calibration_of
    from unblank.answering.answer_file import require_free
    from unblank.answering.predict import predict_records
    from unblank.data.written_records import require_writable
    from unblank.finetuning.labels.tuned import open_tuned

    require_writable(settings.output)  # before a model is opened
    require_free(settings.output, overwrite=settings.overwrite)
    folder = Path(settings.model)
    tuned = open_tuned(
        folder,
        settings.task,
        patterns=settings.patterns,
        layout=settings.layout,
        normalization=settings.normalization,
        device=settings.device,
        dtype=settings.dtype,
    )
    if settings.calibration:
        tuned = tuned.calibrated(calibration_of(folder))
        if said := tuned.note or (tuned.calibration and str(tuned.calibration.source)):
            print_message(said)
        if settings.abstain_below is None and (learned := tuned.threshold(None)):
            print_message(
                f"abstains below {learned:.3g}, as learned in calibrating (--abstain-below)"
            )
    return predict_records(
        tuned,
        folder,
        settings.input,
        settings.output,
        abstain_below=tuned.threshold(settings.abstain_below),
        batch_size=settings.batch_size,
        overwrite=settings.overwrite,
    )
