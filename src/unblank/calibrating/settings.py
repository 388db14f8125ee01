"""The settings of `unblank calibrate`. Standard library alone: `--help` reads it."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

from unblank.settings.choices import DType, Layout, Normalization
from unblank.settings.marks import DataPath, Excludes, Needs, PathText, Positional
from unblank.settings.ranges import NotNegative, NumBeams, OpenShare, Positive, Seed, check_values

__all__ = ["AnswerKind", "CalibrateSettings"]

AnswerKind = Literal["fills", "labels", "candidates"]

_ONLY_OF: dict[str, tuple[AnswerKind, ...]] = {
    "text_field": ("fills", "candidates"),
    "answer_field": ("fills", "candidates"),
    "mask_ratio": ("fills",),
    "num_beams": ("fills",),
    "max_tokens": ("fills",),
    "most_wrong": ("fills", "labels"),
    "task": ("labels",),
    "patterns": ("labels",),
    "layout": ("labels",),
    "normalization": ("labels", "candidates"),
    "content_free": ("candidates",),
    "candidates": ("candidates",),
    "candidates_field": ("candidates",),
}
"""Setting -> the kinds of answers that it applies to; the others apply to all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrateSettings:
    """Learn from known answers how often a model is right when it says how sure it is.

    Of labels, of blanks:

    unblank calibrate runs/mails --data other_mails.csv
    unblank calibrate runs/mine --data other_texts.txt

    Give data that the model was not trained on. What is learned is kept in the model's folder, and
    fill, predict, score and serve use it: every answer gets the probability that it is right.
    """

    model: Positional[PathText]
    """Folder of a model, a classifier, an adapter or a trained prompt."""
    data: DataPath
    """File of any format (docs/data.md). Labels: records of the task. Fills: texts with blanks and
    their answers, or whole texts, in which words are then blanked. Candidates: texts with a blank
    and the right one."""
    kind: AnswerKind | None = None
    """What is calibrated: fills of blanks, labels of a task, or candidates of `unblank score`.
    Default: labels if the model was tuned on some or --task is given, candidates with --candidates,
    else fills."""
    task: PathText | None = None
    """Labels: name of a task, or your own YAML file. Default: the one that the model was tuned
    on."""
    patterns: NotNegative[tuple[int, ...]] = ()
    """Labels: numbers of the task's patterns. Default: as for `unblank predict`."""
    layout: Layout | None = None
    """Labels: how the model answers. Default: as it was tuned, else in a blank."""
    normalization: Normalization | None = None
    """Labels and candidates: how they are compared, as for `unblank predict` and `unblank
    score`."""
    candidates: tuple[str, ...] = ()
    """Candidates for the blank of every text."""
    candidates_field: Annotated[str | None, Excludes("candidates")] = None
    """Or the field that lists the candidates of each text; in a table as JSON."""
    content_free: Annotated[tuple[str, ...], Needs("normalization")] = ()
    """Candidates: texts without content, as for `unblank score`."""
    text_field: str | None = None
    """Fills and candidates: field of the text, or a text with fields in braces. Default: text."""
    answer_field: str | None = None
    """Fills: field that lists the answers of a text's blanks, in a table as JSON. Candidates: field
    of the right one. Default: answers; of candidates, label."""
    mask_ratio: OpenShare[float | None] = None
    """Fills: share of the words of a text that are blanked, if it has no blanks. Default: 0.15."""
    num_beams: NumBeams[int | None] = None
    """Fills: number of beams; give what you will fill with. Default: 1, greedy decoding."""
    max_tokens: Positive[int | None] = None
    """Fills: most tokens in a blank. Default: as for `unblank fill`."""
    most_wrong: OpenShare[float | None] = None
    """Fills and labels: also learn the threshold from which at most this share of the answers is
    wrong, from 0 to 1. It is kept, and fill, predict and serve abstain below it, unless
    --abstain-below says otherwise."""
    measured: OpenShare[float] = 0.5
    """Share of the records that is kept apart, to measure what was learned from the others."""
    limit: Positive[int] = 5000
    """Most records to use; of more a fixed random choice."""
    seed: Seed[int] = 0
    """Seed of the words that are blanked."""
    batch_size: Positive[int] = 32
    """Number of texts answered together."""
    report: Path | None = None
    """Folder for the report and its picture. Default: `calibration` in the model's folder."""
    device: str = "auto"
    """auto (a GPU if there is one), cpu or cuda."""
    dtype: DType | None = None
    """Data type of the computation; fp16 is fastest on most CPUs, and there rounds weights only.
    Default: as the model was saved."""

    def __post_init__(self) -> None:
        check_values(self)

    def require_only_of(self, kind: AnswerKind) -> None:
        """Check that no setting of other kinds of answers is given.

        Raises:
            ValueError: one is.
        """
        for one in fields(self):
            allowed = _ONLY_OF.get(one.name, (kind,))
            if getattr(self, one.name) != one.default and kind not in allowed:
                raise ValueError(
                    f"{one.name} applies to {' and '.join(allowed)}, and {kind} are calibrated: "
                    "leave it out, or choose another --kind"
                )
