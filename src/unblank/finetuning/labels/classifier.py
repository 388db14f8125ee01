"""The classifier baseline: texts joined by [SEP], one pooled token, a new head.

Tasks whose texts name the candidate get a row and a single score for each candidate, as in the
published program; numbers are learned as shares of two classes, as with cloze questions. Where
several labels may apply, each has a probability of its own.

Shapes: `R` rows, `C` classes, `L` labels or candidates of an example.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from unblank.data.length_groups import length_batches
from unblank.finetuning.labels.classifier_model import build_classifier
from unblank.finetuning.labels.classifier_rows import ClassifierRow, RowEncoder, pad_rows
from unblank.finetuning.labels.classifier_tokenizer import classifier_tokenizer
from unblank.finetuning.labels.reading import Labelled
from unblank.finetuning.labels.scores import loss_of
from unblank.finetuning.labels.settings import Branch, Pooled
from unblank.finetuning.labels.steps import Sample
from unblank.objectives.cloze import ClozeLossName
from unblank.plurals import counted
from unblank.prompting.examples import TaskExample, require_labels
from unblank.prompting.training import training_examples

__all__ = ["ClassifierScorer"]


class ClassifierScorer:
    """A head over one pooled token scores classes, or candidates one by one; see `LabelScorer`.

    Args:
        data: the task with its examples.
        pooled: the token that is classified from.
        branch: the decoder that is read, where a model has two.
    """

    name = "classifier"
    num_prompts = 1
    consistency = 0.0

    def __init__(self, data: Labelled, *, pooled: Pooled = "cls", branch: Branch) -> None:
        of_family = data.family.classifier
        assert of_family is not None
        if pooled != "cls" and of_family.pooled_field is None:
            raise ValueError(
                f"cloze.pooled is {pooled}, but a {data.family.name} classifies from the first "
                "token only: leave it out"
            )
        special = data.family.special_ids(data.tokenizer)
        self.loss: ClozeLossName = loss_of(data.task)
        self._data, self._pooled, self._branch = data, pooled, branch
        self._pad_id = special.pad
        self._encoder = RowEncoder(
            tokenizer=data.tokenizer,
            special=special,
            task=data.task,
            max_length=data.max_length,
            between=of_family.between(special),
        )
        self.examples: Sequence[TaskExample] = self._examples_to_learn_from()
        rows = data.encode_all(self.examples, self._encoder.rows)
        self.lengths: Sequence[int] = [
            sum(len(row.token_ids) for row in of_example) for of_example in rows
        ]
        held_out = data.encode_all(data.validation, self._encoder.rows)
        self.facts: Mapping[str, str] = {
            "classes": ", ".join(self._classes) or "one score per candidate",
            "training": f"{counted(len(rows), 'example')}, {_num_shortened(rows):,} shortened",
            "validation": f"{counted(len(held_out), 'example')}, "
            f"{_num_shortened(held_out):,} shortened",
        }

    def build_model(self) -> PreTrainedModel:
        """Return the model with a new head, or with the head of its folder."""
        return build_classifier(
            self._data,
            self._classes,
            pooled=self._pooled,
            branch=self._branch,
            may_be_several=self.loss == "binary",
        )

    def saved_tokenizer(self) -> PreTrainedTokenizerFast:
        """Return the tokenizer that makes the rows of a classifier by itself."""
        return classifier_tokenizer(self._encoder)

    def encode(self, example: TaskExample, sample: Sample) -> list[list[ClassifierRow]]:
        """Return the rows of an example, as one input."""
        return [self._encoder.rows(example)]

    def scores(
        self, model: nn.Module, inputs: list[list[ClassifierRow]], device: torch.device
    ) -> list[Tensor]:
        """Return for each example float32[L], the logits of its labels or candidates."""
        rows = [row for of_example in inputs for row in of_example]
        tensors = {name: t.to(device) for name, t in pad_rows(rows, self._pad_id).items()}
        called: Any = model
        logits_RC: Tensor = called(**tensors).logits.float()
        if logits_RC.shape[1] > 1:
            return list(logits_RC)
        return list(logits_RC[:, 0].split([len(of_example) for of_example in inputs]))

    def shares(
        self, model: PreTrainedModel, examples: Sequence[TaskExample], batch_size: int
    ) -> list[Tensor]:
        """Return the probabilities of each example's labels."""
        rows = [self._encoder.rows(example) for example in examples]
        shares: list[Tensor] = [torch.empty(0)] * len(examples)
        lengths = [max(len(row.token_ids) for row in of_example) for of_example in rows]
        with torch.inference_mode():
            for batch in length_batches(lengths, batch_size, longest_first=True):
                scores = self.scores(model, [rows[index] for index in batch], model.device)
                for index, scores_L in zip(batch, scores, strict=True):
                    is_several = self.loss == "binary"
                    of_labels = scores_L.sigmoid() if is_several else scores_L.softmax(dim=0)
                    shares[index] = of_labels.cpu()
        return shares

    def are_shortened(self, examples: Sequence[TaskExample]) -> list[bool]:
        """Return for each example whether some of its text does not fit."""
        return [_is_shortened(self._encoder.rows(example)) for example in examples]

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
            raise ValueError(
                f"{examples[0].place}: all {len(examples)} examples have the same label"
            )
        # "true" is class 0, as the phrase that a question is about is candidate 0.
        return [
            replace(e, candidates=("true", "false"), answers=(1 - e.answers[0],)) for e in examples
        ]


def _num_shortened(rows: Sequence[Sequence[ClassifierRow]]) -> int:
    return sum(map(_is_shortened, rows))


def _is_shortened(of_example: Sequence[ClassifierRow]) -> bool:
    return any(row.is_shortened for row in of_example)
