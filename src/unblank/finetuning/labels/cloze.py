"""Tasks with labels as cloze questions: the scores of all candidates, trained in one forward."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from unblank.finetuning.labels.reading import Labelled
from unblank.finetuning.labels.steps import Sample
from unblank.objectives.cloze import ClozeLossName
from unblank.prompting.examples import TaskExample
from unblank.prompting.scoring import (
    ClozePrompt,
    Layout,
    encode_example,
    score_examples,
    score_prompts,
)
from unblank.prompting.training import training_examples
from unblank.tokenization.special import special_ids

__all__ = ["ClozeWay"]


class ClozeWay:
    """Candidates stand in a blank of a text; see `Way`.

    Args:
        data: the task with its examples.
        patterns: numbers of the task's patterns; none is the one that the task prefers. Of several,
            an example is asked in another one each epoch, and probabilities are averaged.
        loss: which loss of the scores.
        layout: how the model answers.
    """

    name = "cloze"

    def __init__(
        self,
        data: Labelled,
        *,
        patterns: Sequence[int] = (),
        loss: ClozeLossName = "cross_entropy",
        layout: Layout = "blank",
    ) -> None:
        self.loss: ClozeLossName = loss
        self._data, self._layout = data, layout
        self._special = special_ids(data.tokenizer)
        self._patterns = tuple(patterns) or (data.task.default_pattern,)
        self.examples: Sequence[TaskExample] = (
            training_examples(data.task, data.train) if data.train else []
        )
        prompts = data.encode_all(self.examples, self._in_first_pattern)
        self.lengths: Sequence[int] = [prompt.num_positions for prompt in prompts]
        self.facts: Mapping[str, str] = self._describe(prompts)

    def build_model(self) -> PreTrainedModel:
        """Return the GLM to start from."""
        return self._data.start.build(self._data.tokenizer, self._data.max_length)

    def encode(self, example: TaskExample, sample: Sample) -> ClozePrompt:
        """Return an example in the pattern of its epoch."""
        number = self._patterns[(sample.index + sample.epoch) % len(self._patterns)]
        return self._prompt(example, number)

    def scores(
        self, model: nn.Module, inputs: list[ClozePrompt], device: torch.device
    ) -> list[Tensor]:
        """Return for each prompt float32[L], the scores of its candidates."""
        return score_prompts(model, self._special, inputs, self._layout)

    def shares(
        self, model: PreTrainedModel, examples: Sequence[TaskExample], batch_size: int
    ) -> list[Tensor]:
        """Return the probabilities of each example's candidates, averaged over the patterns."""
        of_patterns = [
            score_examples(
                model,
                self._data.tokenizer,
                self._data.task,
                examples,
                pattern=number,
                max_length=self._data.max_length,
                batch_size=batch_size,
                layout=self._layout,
            )
            for number in self._patterns
        ]
        return [
            torch.stack([scores.softmax(dim=0) for scores in one]).mean(dim=0)
            for one in zip(*of_patterns, strict=True)
        ]

    def _prompt(self, example: TaskExample, number: int) -> ClozePrompt:
        data = self._data
        pattern = data.task.pattern(number)
        return encode_example(
            data.tokenizer, data.task, example, pattern, max_length=data.max_length
        )

    def _in_first_pattern(self, example: TaskExample) -> ClozePrompt:
        return self._prompt(example, self._patterns[0])

    def _describe(self, prompts: Sequence[ClozePrompt]) -> dict[str, str]:
        task, data = self._data.task, self._data
        facts = {"patterns": " | ".join(task.pattern(n).pattern.text for n in self._patterns)}
        if prompts:
            made = f" (made of {len(data.train):,})" if len(data.train) != len(prompts) else ""
            facts["training"] = f"{len(prompts):,} examples{made}, {describe_prompts(prompts)}"
            if any(prompt.scoring != task.scoring for prompt in prompts):
                facts["scoring"] = (
                    "summed log-probabilities: this vocabulary splits some of the words"
                )
        if data.validation:
            held_out = data.encode_all(data.validation, self._in_first_pattern)
            facts["validation"] = f"{len(held_out):,} examples, {describe_prompts(held_out)}"
        return facts


def describe_prompts(prompts: Sequence[ClozePrompt]) -> str:
    """Return how many examples lost text, and how many have candidates that must tie."""
    num_short = sum(bool(prompt.filled.num_removed) for prompt in prompts)
    num_tied = sum(len(set(prompt.slots)) < len(prompt.slots) for prompt in prompts)
    tied = f", {num_tied:,} with candidates that are the same tokens" if num_tied else ""
    return f"{num_short:,} shortened{tied}"
