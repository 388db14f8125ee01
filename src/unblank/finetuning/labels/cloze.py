"""Tasks with labels as cloze questions: the scores of all candidates, trained in one forward.

The task file says what is asked (`unblank.prompting`); this says how it is learnt and judged.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from unblank.data.loader import StepBatches
from unblank.engine.task import Evaluation, TaskContext
from unblank.engine.units import Share, TokenLoss, TrainUnit
from unblank.finetuning.labels.reading import Labelled, read_labelled
from unblank.finetuning.labels.scores import evaluation_of, label_loss
from unblank.finetuning.labels.steps import ExampleSteps, Sample
from unblank.objectives.cloze import ClozeLossName
from unblank.prompting.examples import TaskExample
from unblank.prompting.scoring import Layout, Prompt, encode_example, score_examples, score_prompts
from unblank.prompting.training import draw_candidates, target_shares, training_examples
from unblank.tokenization.special import SpecialIds, special_ids

__all__ = ["ClozeFinetuning", "ClozeUnit", "PromptBatch", "describe_prompts", "open_cloze"]


@dataclass(frozen=True, slots=True)
class PromptBatch:
    """Examples of one forward pass.

    Attributes:
        prompts: what the model sees.
        targets: for each, float32[L]: how much of the answer each label is.
        sample_numbers: number of each draw.
    """

    prompts: list[Prompt]
    targets: list[Tensor]
    sample_numbers: list[int]


class ClozeUnit:
    """One loss, `cloze`, a mean over examples; and the share that is answered right.

    Args:
        special: ids of the special tokens.
        loss: which loss of the scores.
        layout: how the model answers.
    """

    weights: Mapping[str, float] = {"cloze": 1.0}

    def __init__(
        self,
        special: SpecialIds,
        loss: ClozeLossName = "cross_entropy",
        layout: Layout = "blank",
    ) -> None:
        self._special = special
        self._layout: Layout = layout
        self._loss: ClozeLossName = loss
        self.shares: Mapping[str, Share] = {}

    def start_step(self, update: int) -> None:
        """Nothing changes between steps."""

    def counts(self, batch: PromptBatch) -> dict[str, int]:
        """Return {"cloze": examples}."""
        return {"cloze": len(batch.prompts)}

    def __call__(
        self, model: nn.Module, batch: PromptBatch, device: torch.device
    ) -> dict[str, TokenLoss]:
        """Return {"cloze": the summed loss}."""
        scores = score_prompts(model, self._special, batch.prompts, self._layout)
        loss, share = label_loss(scores, batch.targets, self._loss)
        self.shares = {"right": share}
        return {"cloze": loss}


class ClozeFinetuning:
    """The task of a run, with its data read; made by `open_cloze`."""

    def __init__(self, context: TaskContext, data: Labelled) -> None:
        config = context.config
        self.tokenizer: PreTrainedTokenizerFast = data.tokenizer
        self.metric = config.train.metric or data.task.metrics[0]
        self.higher_is_better = self.metric != "loss"
        self.content = data.content
        self._data, self._settings, self._seed = data, config.cloze, config.train.seed
        self._batch_size = config.train.micro_batch_size or config.train.batch_size
        self._patterns = config.cloze.patterns or (data.task.default_pattern,)
        special = special_ids(self.tokenizer)
        self.unit: TrainUnit = ClozeUnit(special, config.cloze.loss, config.cloze.layout)
        self._train = training_examples(data.task, data.train) if data.train else []
        prompts = data.encode_all(self._train, self._in_first_pattern)
        self._steps = ExampleSteps(
            lengths=[prompt.num_positions for prompt in prompts],
            batch_size=config.train.batch_size,
            micro_batch_size=config.train.micro_batch_size,
            seed=config.train.seed,
            rank=context.world.rank,
            world_size=context.world.size,
        )
        self.steps_per_epoch = self._steps.steps_per_epoch
        self.facts: Mapping[str, str] = {
            "task": data.task.about or data.task.name,
            **self._describe(prompts),
        }

    def build_model(self) -> PreTrainedModel:
        """Return the GLM to start from."""
        return self._data.build_glm()

    def steps(self, saved: Mapping[str, int] | None) -> Iterator[StepBatches]:
        """Yield the batches of one step after another."""
        return self._steps(saved, self._batch)

    def evaluate(self, model: PreTrainedModel) -> Evaluation:
        """Return the task's scores and the mean loss on the held-out examples."""
        task, examples = self._data.task, self._data.validation
        of_patterns = [
            score_examples(
                model,
                self.tokenizer,
                task,
                examples,
                pattern=number,
                max_length=self._data.max_length,
                batch_size=self._batch_size,
                layout=self._settings.layout,
            )
            for number in self._patterns
        ]
        shares = [
            torch.stack([scores.softmax(dim=0) for scores in one]).mean(dim=0)
            for one in zip(*of_patterns, strict=True)
        ]
        return evaluation_of(task, examples, shares)

    def _batch(self, samples: list[Sample]) -> PromptBatch:
        examples = [self._drawn(sample) for sample in samples]
        numbers = [self._patterns[(s.index + s.epoch) % len(self._patterns)] for s in samples]
        return PromptBatch(
            [self._prompt(*pair) for pair in zip(examples, numbers, strict=True)],
            [target_shares(self._data.task, example) for example in examples],
            [sample.number for sample in samples],
        )

    def _drawn(self, sample: Sample) -> TaskExample:
        rng = np.random.default_rng((self._seed, 1, sample.number))
        return draw_candidates(self._data.task, self._train[sample.index], rng)

    def _prompt(self, example: TaskExample, number: int) -> Prompt:
        task = self._data.task
        return encode_example(
            self.tokenizer, task, example, task.pattern(number), max_length=self._data.max_length
        )

    def _in_first_pattern(self, example: TaskExample) -> Prompt:
        return self._prompt(example, self._patterns[0])

    def _describe(self, prompts: Sequence[Prompt]) -> dict[str, str]:
        task, data = self._data.task, self._data
        facts = {"patterns": " | ".join(task.pattern(n).pattern.text for n in self._patterns)}
        if prompts:
            made = f" (made of {len(data.train):,})" if len(data.train) != len(prompts) else ""
            facts["training"] = f"{len(prompts):,} examples{made}, {describe_prompts(prompts)}"
            if any(prompt.scoring != task.scoring for prompt in prompts):
                facts["scoring"] = (
                    "summed log-probabilities: this vocabulary cuts some of the words"
                )
        if data.validation:
            held_out = data.encode_all(data.validation, self._in_first_pattern)
            facts["validation"] = f"{len(held_out):,} examples, {describe_prompts(held_out)}"
        return facts


def describe_prompts(prompts: Sequence[Prompt]) -> str:
    """Return how many examples lost text, and how many have candidates that must tie."""
    num_short = sum(bool(prompt.filled.num_removed) for prompt in prompts)
    num_tied = sum(len(set(prompt.slots)) < len(prompt.slots) for prompt in prompts)
    tied = f", {num_tied:,} with candidates that are the same tokens" if num_tied else ""
    return f"{num_short:,} shortened{tied}"


def open_cloze(context: TaskContext) -> ClozeFinetuning:
    """Return the task with its data read.

    Raises:
        ValueError: data, model and settings do not fit; the message names the file and line.
        FileNotFoundError: a file or folder is not there.
    """
    return ClozeFinetuning(context, read_labelled(context, families=("glm",)))
