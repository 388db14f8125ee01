"""What `unblank pretrain` chooses where nothing is given: from the text, the time and the hardware.

A pure function with one table of sizes, which were searched for the smallest and are extrapolated
above (docs/log.md, docs/training.md). The recipes for CPUs are its answers for 3 minutes, 30
minutes and 3 hours; a test compares them. Standard library only.
"""

from dataclasses import dataclass
from typing import Any

from unblank.plurals import counted

__all__ = ["Choice", "Means", "choose"]

_USUAL_MINUTES = (30, 10, 3, 1)
"""Minutes to try for a run without a length, until the text is not read too often."""
_MOST_EPOCHS = 20.0
_THREADS_OF_A_GPU = 100
"""Threads that a GPU counts as; an estimate, not measured."""
_BYTES_OF_A_TOKEN = 4.5
_BYTES_FOR_A_TOKEN_OF_THE_VOCABULARY = 500
"""Bytes of text for each token of the vocabulary, so that even the rarest occur a few times."""
_SMALLEST_VOCABULARY = 1000
_HELD_OUT_BYTES = 200_000
_EPOCHS_WITHOUT_DROPOUT = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a run has to work with.

    Attributes:
        text_bytes: size of the training text.
        minutes: time of the run; None where none is asked for.
        threads: of the processor.
        has_gpu: whether a GPU trains.
        text_unit: what a document of a .txt file should be, so that some can be held out; empty if
            it need not be said.
    """

    text_bytes: int
    minutes: float | None
    threads: int
    has_gpu: bool = False
    text_unit: str = ""

    def __str__(self) -> str:
        hardware = "a GPU" if self.has_gpu else counted(self.threads, "thread")
        plural = "" if self.minutes == 1 else "s"
        time = "" if self.minutes is None else f"{self.minutes:g} minute{plural} of "
        return f"{_shown_size(self.text_bytes)} of text, {time}{hardware}"


@dataclass(frozen=True, slots=True)
class Choice:
    """One setting.

    Attributes:
        name: dotted, as in a recipe.
        value: plain, as in a recipe.
        why: in a few words.
        unless: settings or sections that take its place if they are given.
    """

    name: str
    value: Any
    why: str
    unless: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Size:
    """A model and its steps, for up to so many minutes of one thread.

    Attributes:
        thread_minutes: up to which.
        layers, width, heads: of the model.
        vocabulary: most tokens.
        max_length: positions of a sample.
        rows: of that length in a step.
        warmup_steps: of the learning rate.
        positions_a_minute: that one thread reads in float32, roughly; the largest is not measured.
    """

    thread_minutes: float
    layers: int
    width: int
    heads: int
    vocabulary: int
    max_length: int
    rows: int
    warmup_steps: int
    positions_a_minute: int


_SIZES = (
    _Size(thread_minutes=15, layers=3, width=128, heads=4, vocabulary=6000, max_length=128, rows=8,
          warmup_steps=20, positions_a_minute=300_000),
    _Size(thread_minutes=150, layers=4, width=192, heads=4, vocabulary=8000, max_length=128, rows=8,
          warmup_steps=50, positions_a_minute=180_000),
    _Size(thread_minutes=1500, layers=6, width=256, heads=4, vocabulary=12000, max_length=256,
          rows=8, warmup_steps=100, positions_a_minute=75_000),
    _Size(thread_minutes=float("inf"), layers=8, width=384, heads=6, vocabulary=16000,
          max_length=256, rows=32, warmup_steps=300, positions_a_minute=30_000),
)  # fmt: skip
"""By time; each has about three times the weights of the one before for ten times the time."""


def choose(means: Means) -> tuple[Choice, ...]:
    """Return what a run is to be, each setting with its reason.

    Example:
        >>> means = Means(text_bytes=10_000_000, minutes=3, threads=2)
        >>> [(one.name, one.value) for one in choose(means)][:2]
        [('model.preset', 'tiny'), ('model.num_hidden_layers', 3)]
    """
    minutes = _minutes(means) if means.minutes is None else means.minutes
    size, epochs = _size_for(means, minutes), _epochs(means, minutes)
    return (
        *_time(means, minutes),
        *_model(size),
        *_dropout(epochs),
        *_vocabulary(means, size),
        *_held_out(means),
        *_step(size),
        *_OBJECTIVE,
        *_OPTIMISER,
        *_schedule(size),
    )


def _num_threads(means: Means) -> int:
    return means.threads * (_THREADS_OF_A_GPU if means.has_gpu else 1)


def _minutes(means: Means) -> float:
    """Return the time for a run that is given none."""
    for minutes in _USUAL_MINUTES:
        if _epochs(means, minutes) <= _MOST_EPOCHS:
            break
    return float(minutes)


def _size_for(means: Means, minutes: float) -> _Size:
    thread_minutes = minutes * _num_threads(means)
    return next(size for size in _SIZES if thread_minutes <= size.thread_minutes)


def _epochs(means: Means, minutes: float) -> float:
    """Return about how often the text is read."""
    size = _size_for(means, minutes)
    positions = size.positions_a_minute * minutes * _num_threads(means)
    return positions / max(means.text_bytes / _BYTES_OF_A_TOKEN, 1)


def _time(means: Means, minutes: float) -> tuple[Choice, ...]:
    if means.minutes is not None:
        return ()
    why = "as much as is usual" if minutes == _USUAL_MINUTES[0] else "short, as the text is short"
    return (Choice("train.minutes", minutes, why, ("train.max_steps",)),)


def _model(size: _Size) -> tuple[Choice, ...]:
    why = "a larger model learns less in the time"
    shape = ("model.hidden_size", "model.num_attention_heads")
    return (
        Choice("model.preset", "tiny", why),
        Choice("model.num_hidden_layers", size.layers, why),
        Choice("model.hidden_size", size.width, why, shape),
        Choice("model.num_attention_heads", size.heads, why, shape),
    )


def _dropout(epochs: float) -> tuple[Choice, ...]:
    rate = 0.1 if epochs > _EPOCHS_WITHOUT_DROPOUT else 0.0
    why = f"the text is read about {epochs:.1f} times"
    return (
        Choice("model.hidden_dropout", rate, why),
        Choice("model.attention_dropout", rate, why),
    )


def _vocabulary(means: Means, size: _Size) -> tuple[Choice, ...]:
    most = means.text_bytes // _BYTES_FOR_A_TOKEN_OF_THE_VOCABULARY // 500 * 500
    count = max(min(size.vocabulary, most), _SMALLEST_VOCABULARY)
    why = "as many as suit the model" if count == size.vocabulary else "few, as the text is short"
    unless = ("tokenizer.path",)
    return (
        Choice("tokenizer.kind", "wordpiece", why, unless),
        Choice("tokenizer.vocab_size", count, why, unless),
    )


def _held_out(means: Means) -> tuple[Choice, ...]:
    why = "to see what is learned, not repeated"
    unless = ("data.validation", "data.validation_pairs")
    share = round(min(max(_HELD_OUT_BYTES / max(means.text_bytes, 1), 0.005), 0.05), 3)
    held_out = Choice("data.hold_out", share, why, unless)
    if not means.text_unit:
        return (held_out,)
    return (held_out, Choice("data.text_unit", means.text_unit, why, unless))


def _step(size: _Size) -> tuple[Choice, ...]:
    why = f"many small steps, of {size.rows * size.max_length:,} positions"
    lengths = ("data.max_length", "data.row_length")
    return (
        Choice("data.max_length", size.max_length, why, lengths),
        Choice("train.batch_size", size.rows, why, (*lengths, "train.micro_batch_size")),
    )


_WHY_BLANKS = "many short blanks, and a fifth left to right"
_OBJECTIVE = (
    Choice("objective.token", 0.8, _WHY_BLANKS, ("objective",)),
    Choice("objective.causal", 0.2, _WHY_BLANKS, ("objective",)),
    Choice("objective.mask_ratio", 0.35, _WHY_BLANKS, ("objective",)),
    Choice("objective.mean_span_length", 1.0, _WHY_BLANKS, ("objective",)),
)
_WHY_MUON = "learns sooner than adamw"
_OPTIMISER = (
    Choice("train.first_embeddings", "cooccurrence", "words with the same neighbours are alike"),
    Choice("train.first_attention", "neighbours", "they say most about what fills a blank"),
    Choice("optim.name", "muon", _WHY_MUON),
    Choice("optim.learning_rate", 2e-3, _WHY_MUON, ("optim.name",)),
    Choice("optim.muon_factor", 1.5, _WHY_MUON, ("optim.name", "optim.learning_rate")),
    Choice("optim.weight_decay", 0.01, _WHY_MUON, ("optim.name",)),
)


def _schedule(size: _Size) -> tuple[Choice, ...]:
    why = "down to 0 at the end"
    return (
        Choice("optim.warmup_steps", size.warmup_steps, why),
        Choice("optim.schedule", "linear", why),
        Choice("optim.min_learning_rate_ratio", 0.0, why),
    )


def _shown_size(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:,.1f} MB" if num_bytes >= 1e6 else f"{num_bytes / 1e3:,.0f} kB"
