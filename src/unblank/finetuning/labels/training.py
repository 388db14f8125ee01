"""A task with labels, answered in any way: the scores of all candidates are trained.

The task file says what is asked (`unblank.prompting`). A *scorer* says how a model answers: by what
stands in a blank (`cloze`), or by a head over pooled text (`classifier`).

Shapes: `L` labels or candidates of an example.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from unblank.data.loader import StepBatches
from unblank.engine.training import Evaluation
from unblank.engine.units import Share, TokenLoss, TrainUnit
from unblank.finetuning.labels.reading import Labelled
from unblank.finetuning.labels.scores import evaluation_of, label_loss, symmetric_kl
from unblank.finetuning.labels.steps import ExampleSteps, Sample, Sizes
from unblank.metrics.answers import LOWER_IS_BETTER
from unblank.objectives.cloze import ClozeLossName
from unblank.prompting.examples import TaskExample
from unblank.prompting.training import draw_candidates, target_shares

__all__ = ["LabelScorer", "LabelTraining"]

_CONSISTENCY = "consistency"
"""Name of the loss that compares the prompts of an example."""


@dataclass(frozen=True, slots=True)
class LabelBatch:
    """Examples of one forward pass.

    Attributes:
        inputs: the examples as their scorer encodes them, one item for each of their prompts.
        targets: for each item, float32[L]: how much of the answer each label is.
        sample_numbers: number of each draw.
    """

    inputs: list[Any]
    targets: list[Tensor]
    sample_numbers: list[int]


class LabelScorer(Protocol):
    """How a model answers a task with labels."""

    name: str
    """Name of the loss."""
    loss: ClozeLossName
    """Which loss is computed from the scores."""
    num_prompts: int
    """Number of prompts in which an example is asked at once."""
    consistency: float
    """Weight of the difference between the answers to these; 0 for none."""
    examples: Sequence[TaskExample]
    """Training examples, perhaps none."""
    lengths: Sequence[int]
    """Approximate number of positions of each of them."""
    facts: Mapping[str, str]
    """Lines of the header."""

    def build_model(self) -> PreTrainedModel:
        """Return the model to start from."""
        ...

    def saved_tokenizer(self) -> PreTrainedTokenizerFast:
        """Return the tokenizer that is saved with the model."""
        ...

    def encode(self, example: TaskExample, sample: Sample) -> list[Any]:
        """Return an example as the model reads it, an item for each of its prompts."""
        ...

    def scores(self, model: nn.Module, inputs: list[Any], device: torch.device) -> list[Tensor]:
        """Return for each encoded example float32[L], the scores of its labels."""
        ...

    def shares(
        self, model: PreTrainedModel, examples: Sequence[TaskExample], batch_size: int
    ) -> list[Tensor]:
        """Return for each held-out example float32[L], the probabilities of its labels."""
        ...

    def are_shortened(self, examples: Sequence[TaskExample]) -> list[bool]:
        """Return for each held-out example whether some of its text does not fit."""
        ...


class LabelUnit:
    """One loss, named after the scorer, a mean over examples; and the share that is answered right.

    Where an example has two prompts, their losses are averaged, and a second loss may be how much
    their answers differ.
    """

    def __init__(self, scorer: LabelScorer) -> None:
        self._scorer = scorer
        self.weights: Mapping[str, float] = {scorer.name: 1.0}
        if scorer.consistency:
            self.weights = {scorer.name: 1.0, _CONSISTENCY: scorer.consistency}
        self.shares: Mapping[str, Share] = {}

    def start_step(self, update: int) -> None:
        """Nothing changes between steps."""

    def counts(self, batch: LabelBatch) -> dict[str, int]:
        """Return the prompts and the examples by the names of the losses."""
        counts = {self._scorer.name: len(batch.targets)}
        if self._scorer.consistency:
            counts[_CONSISTENCY] = len(batch.targets) // self._scorer.num_prompts
        return counts

    def __call__(
        self, model: nn.Module, batch: LabelBatch, device: torch.device
    ) -> dict[str, TokenLoss]:
        """Return the summed losses by their names."""
        scores = self._scorer.scores(model, batch.inputs, device)
        loss, share = label_loss(scores, batch.targets, self._scorer.loss)
        self.shares = {"right": share}
        losses = {self._scorer.name: loss}
        if self._scorer.consistency:
            pairs = zip(scores[0::2], scores[1::2], strict=True)
            apart = torch.stack([symmetric_kl(*pair) for pair in pairs])
            losses[_CONSISTENCY] = TokenLoss(apart.sum(), len(apart))
        return losses


class LabelTraining:
    """Training on examples with labels; see `unblank.engine.training.Training`.

    Args:
        data: the task with its examples.
        scorer: how a model answers.
        sizes: of a step.
        metric: the score that chooses the best checkpoint.
    """

    def __init__(self, data: Labelled, scorer: LabelScorer, sizes: Sizes, metric: str) -> None:
        self.tokenizer: PreTrainedTokenizerFast = scorer.saved_tokenizer()
        self.unit: TrainUnit = LabelUnit(scorer)
        self.metric = metric
        self.higher_is_better = metric not in LOWER_IS_BETTER
        self.content = data.content
        self.facts: Mapping[str, str] = {"task": data.task.about or data.task.name, **scorer.facts}
        self._data, self._scorer, self._sizes = data, scorer, sizes
        self._steps = ExampleSteps(scorer.lengths, sizes)
        self.steps_per_epoch = self._steps.steps_per_epoch

    def build_model(self) -> PreTrainedModel:
        """Return the model to start from."""
        return self._scorer.build_model()

    def steps(self, saved: Mapping[str, int] | None) -> Generator[StepBatches]:
        """Yield the batches of one step after another."""
        return self._steps(saved, self._batch)

    def evaluate(self, model: PreTrainedModel) -> Evaluation:
        """Return the task's scores and the mean loss on the held-out examples."""
        examples = self._data.validation
        batch_size = self._sizes.micro_batch_size or self._sizes.batch_size
        measure = partial(self._scorer.shares, model, examples, batch_size)
        shares = self._data.world.alone(measure, model)
        return evaluation_of(self._data.task, examples, shares)

    def fill(self, model: PreTrainedModel) -> list[dict[str, str]]:
        """Return nothing: predictions show what is answered."""
        return []

    def _batch(self, samples: list[Sample]) -> LabelBatch:
        examples = [self._drawn(sample) for sample in samples]
        encoded = [self._scorer.encode(*pair) for pair in zip(examples, samples, strict=True)]
        return LabelBatch(
            [prompt for of_example in encoded for prompt in of_example],
            [
                target_shares(self._data.task, example)
                for example in examples
                for _ in range(self._scorer.num_prompts)
            ],
            [sample.number for sample in samples],
        )

    def _drawn(self, sample: Sample) -> TaskExample:
        rng = np.random.default_rng((self._sizes.seed, 1, sample.number))
        return draw_candidates(self._data.task, self._scorer.examples[sample.index], rng)
