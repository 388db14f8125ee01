"""The classifier baseline: texts joined by [SEP], one pooled token, a new head.

Tasks whose texts name the candidate get a row and a single score for each candidate, as in the
published program; numbers are learnt as shares of two classes, as with cloze questions.

Shapes: `R` rows, `C` classes, `L` labels or candidates of an example.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from unblank.data.loader import StepBatches
from unblank.engine.task import Evaluation, TaskContext
from unblank.engine.units import Share, TokenLoss, TrainUnit
from unblank.finetuning.labels.classifier_model import build_classifier
from unblank.finetuning.labels.classifier_rows import ClassifierRow, RowEncoder, pad_rows
from unblank.finetuning.labels.reading import Labelled, read_labelled
from unblank.finetuning.labels.scores import evaluation_of, label_loss
from unblank.finetuning.labels.steps import ExampleSteps, Sample
from unblank.prompting.examples import TaskExample, require_labels
from unblank.prompting.scoring import length_batches
from unblank.prompting.training import draw_candidates, target_shares, training_examples
from unblank.tokenization.special import encoder_decoder_ids, special_ids

__all__ = ["ClassifierFinetuning", "ClassifierUnit", "RowBatch", "open_classifier"]


@dataclass(frozen=True, slots=True)
class RowBatch:
    """Examples of one forward pass.

    Attributes:
        rows: of all examples.
        num_rows: rows of each example.
        targets: for each example, float32[L]: how much of the answer each label is.
        sample_numbers: number of each draw.
    """

    rows: list[ClassifierRow]
    num_rows: list[int]
    targets: list[Tensor]
    sample_numbers: list[int]


class ClassifierUnit:
    """One loss, `classifier`: cross-entropy, a mean over examples; and the share answered right.

    Args:
        pad_id: fills rows.
        pools_end: classify from the last token of the text, not from [CLS].
    """

    weights: Mapping[str, float] = {"classifier": 1.0}

    def __init__(self, pad_id: int, *, pools_end: bool) -> None:
        self._pad_id = pad_id
        self._pools_end = pools_end
        self.shares: Mapping[str, Share] = {}

    def start_step(self, update: int) -> None:
        """Nothing changes between steps."""

    def counts(self, batch: RowBatch) -> dict[str, int]:
        """Return {"classifier": examples}."""
        return {"classifier": len(batch.targets)}

    def __call__(
        self, model: nn.Module, batch: RowBatch, device: torch.device
    ) -> dict[str, TokenLoss]:
        """Return {"classifier": the summed loss}."""
        scores = self.scores(model, batch.rows, batch.num_rows, device)
        loss, share = label_loss(scores, batch.targets)
        self.shares = {"right": share}
        return {"classifier": loss}

    def scores(
        self,
        model: Any,
        rows: Sequence[ClassifierRow],
        num_rows: Sequence[int],
        device: torch.device,
    ) -> list[Tensor]:
        """Return for each example float32[L], the logits of its labels or candidates."""
        inputs = {name: t.to(device) for name, t in pad_rows(rows, self._pad_id).items()}
        if self._pools_end:
            inputs["pooled_columns"] = inputs["attention_mask"].sum(dim=1) - 1
        logits_RC: Tensor = model(**inputs).logits.float()
        if logits_RC.shape[1] > 1:
            return list(logits_RC)
        return list(logits_RC[:, 0].split(list(num_rows)))


class ClassifierFinetuning:
    """The task of a run, with its data read; made by `open_classifier`."""

    def __init__(self, context: TaskContext, data: Labelled) -> None:
        config = context.config
        self.tokenizer: PreTrainedTokenizerFast = data.tokenizer
        self.metric = config.train.metric or data.task.metrics[0]
        self.higher_is_better = self.metric != "loss"
        self.content = data.content
        self._data, self._settings, self._seed = data, config.cloze, config.train.seed
        self._batch_size = config.train.micro_batch_size or config.train.batch_size
        is_glm = data.family == "glm"
        special = special_ids(self.tokenizer) if is_glm else encoder_decoder_ids(self.tokenizer)
        if not is_glm and config.cloze.pooled != "cls":
            raise ValueError("cloze.pooled chooses the token of a GLM; a GanLM has the first one")
        self._encoder = RowEncoder(
            tokenizer=self.tokenizer,
            special=special,
            task=data.task,
            max_length=data.max_length,
            is_glm=is_glm,
        )
        self._unit = ClassifierUnit(special.pad, pools_end=config.cloze.pooled == "end")
        self.unit: TrainUnit = self._unit
        self._train = self._examples_to_learn_from()
        rows = data.encode_all(self._train, self._encoder.rows)
        self._steps = ExampleSteps(
            lengths=[sum(len(row.token_ids) for row in of_example) for of_example in rows],
            batch_size=config.train.batch_size,
            micro_batch_size=config.train.micro_batch_size,
            seed=config.train.seed,
            rank=context.world.rank,
            world_size=context.world.size,
        )
        self.steps_per_epoch = self._steps.steps_per_epoch
        held_out = data.encode_all(data.validation, self._encoder.rows)
        self.facts: Mapping[str, str] = {
            "task": data.task.about or data.task.name,
            "classes": ", ".join(self._classes) or "one score for each candidate",
            "training": f"{len(rows):,} examples, {_num_shortened(rows):,} shortened",
            "validation": f"{len(held_out):,} examples, {_num_shortened(held_out):,} shortened",
        }

    def build_model(self) -> PreTrainedModel:
        """Return the model with a new head, or with the head of its folder."""
        return build_classifier(self._data, self._classes)

    def steps(self, saved: Mapping[str, int] | None) -> Iterator[StepBatches]:
        """Yield the batches of one step after another."""
        return self._steps(saved, self._batch)

    def evaluate(self, model: PreTrainedModel) -> Evaluation:
        """Return the task's scores and the mean loss on the held-out examples."""
        examples = self._data.validation
        rows = [self._encoder.rows(example) for example in examples]
        shares: list[Tensor] = [torch.empty(0)] * len(examples)
        lengths = [max(len(row.token_ids) for row in of_example) for of_example in rows]
        with torch.inference_mode():
            for batch in length_batches(lengths, self._batch_size):
                scores = self._unit.scores(
                    model,
                    [row for index in batch for row in rows[index]],
                    [len(rows[index]) for index in batch],
                    model.device,
                )
                for index, scores_L in zip(batch, scores, strict=True):
                    shares[index] = scores_L.softmax(dim=0).cpu()
        return evaluation_of(self._data.task, examples, shares)

    @property
    def _classes(self) -> tuple[str, ...]:
        if self._encoder.is_by_candidate:
            return ()
        return ("true", "false") if self._data.task.decision == "first" else self._data.task.labels

    def _examples_to_learn_from(self) -> list[TaskExample]:
        task, examples = self._data.task, self._data.train
        if not examples:
            return []
        if task.decision != "first" or self._encoder.is_by_candidate:
            return training_examples(task, examples)
        require_labels(task, examples)
        if len({example.answers for example in examples}) == 1:
            raise ValueError(f"{examples[0].place}: all {len(examples)} examples have one label")
        # "true" is class 0, as the phrase that a question is about is candidate 0.
        return [
            replace(e, candidates=("true", "false"), answers=(1 - e.answers[0],)) for e in examples
        ]

    def _batch(self, samples: list[Sample]) -> RowBatch:
        examples = [self._drawn(sample) for sample in samples]
        rows = [self._encoder.rows(example) for example in examples]
        return RowBatch(
            rows=[row for of_example in rows for row in of_example],
            num_rows=[len(of_example) for of_example in rows],
            targets=[target_shares(self._data.task, example) for example in examples],
            sample_numbers=[sample.number for sample in samples],
        )

    def _drawn(self, sample: Sample) -> TaskExample:
        rng = np.random.default_rng((self._seed, 1, sample.number))
        return draw_candidates(self._data.task, self._train[sample.index], rng)


def _num_shortened(rows: Sequence[Sequence[ClassifierRow]]) -> int:
    return sum(any(row.is_shortened for row in of_example) for of_example in rows)


def open_classifier(context: TaskContext) -> ClassifierFinetuning:
    """Return the task with its data read.

    Raises:
        ValueError: data, model and settings do not fit; the message names the file and line.
        FileNotFoundError: a file or folder is not there.
    """
    return ClassifierFinetuning(context, read_labelled(context, families=("glm", "ganlm")))
