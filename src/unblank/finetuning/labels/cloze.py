"""Tasks with labels as cloze questions: the scores of all candidates, trained in one forward."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from unblank.finetuning.labels.reading import Labelled
from unblank.finetuning.labels.scores import loss_of
from unblank.finetuning.labels.settings import ClozeSettings
from unblank.finetuning.labels.steps import Sample
from unblank.generation.priors import Prior
from unblank.objectives.cloze import ClozeLossName
from unblank.plurals import counted
from unblank.prompting.asking import AS_IT_STANDS, Asking
from unblank.prompting.examples import TaskExample
from unblank.prompting.predicting import predict
from unblank.prompting.scoring import ClozePrompt, encode_example, score_prompts
from unblank.prompting.task import ClozeTask
from unblank.prompting.training import training_examples
from unblank.prompting.wording import ENGLISH
from unblank.settings.choices import Layout
from unblank.tokenization.special import special_ids

__all__ = ["ClozeScorer", "Words"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """In which words examples are asked.

    Attributes:
        training: those to learn from.
        held_out: those that are measured.
        crosses: whether each training example is also asked in another language, drawn at random.
        consistency: weight of the difference between the answers to both prompts.
        prior: how what a prompt scores without content is taken off in measuring.
        seed: of what is drawn.
    """

    training: Asking = AS_IT_STANDS
    held_out: Asking = AS_IT_STANDS
    crosses: bool = False
    consistency: float = 0.0
    prior: Prior | None = None
    seed: int = 0

    @classmethod
    def of(cls, settings: ClozeSettings, seed: int) -> "Words":
        """Return what the `cloze` section says."""
        prompts = "english" if settings.prompts == "cross" else settings.prompts
        return cls(
            training=Asking(prompts, settings.words),
            held_out=Asking(
                settings.test_prompts or prompts, settings.test_words or settings.words
            ),
            crosses=settings.prompts == "cross",
            consistency=settings.consistency,
            prior="pmi" if settings.calibrate else None,
            seed=seed,
        )

    def check(self, task: ClozeTask, numbers: Sequence[int]) -> None:
        """Check that a task can be asked so; errors as for `Asking.check`."""
        self.training.check(task, numbers)
        self.held_out.check(task, numbers)
        if self.crosses and len(task.wordings) < 2:
            raise ValueError(
                f"cloze.prompts cross needs hints of two languages in {task.path.name}"
            )

    @property
    def other(self) -> Asking:
        """How an example is asked in another language."""
        return Asking("translated", self.training.words or "english")

    def other_language(self, task: ClozeTask, sample: Sample) -> str:
        """Return the language of the other prompt of a draw: a function of seed and draw."""
        others = [code for code in task.wordings if code != ENGLISH]
        rng = np.random.default_rng((self.seed, 2, sample.number))
        return others[int(rng.integers(len(others)))]


class ClozeScorer:
    """Candidates stand in a blank of a text; see `LabelScorer`.

    Args:
        data: the task with its examples.
        patterns: numbers of the task's patterns; none is the one that the task prefers. Of several,
            an example is asked in another one each epoch, and probabilities are averaged.
        loss: which loss of the scores.
        layout: how the model answers.
        words: in which words examples are asked.
    """

    name = "cloze"

    def __init__(
        self,
        data: Labelled,
        *,
        patterns: Sequence[int] = (),
        loss: ClozeLossName = "cross_entropy",
        layout: Layout = "blank",
        words: Words | None = None,
    ) -> None:
        self.loss: ClozeLossName = loss_of(data.task, loss)
        self._data, self._layout, self._words = data, layout, words or Words()
        self._special = special_ids(data.tokenizer)
        stands = self._words.training.prompts is None
        self._patterns = tuple(patterns) or (data.task.default_pattern if stands else 0,)
        self.num_prompts = 1 + self._words.crosses
        self.consistency = self._words.consistency
        self.examples: Sequence[TaskExample] = (
            training_examples(data.task, data.train) if data.train else []
        )
        prompts = data.encode_all(self.examples, self._first_prompt)
        self.lengths: Sequence[int] = [prompt.num_positions for prompt in prompts]
        self.facts: Mapping[str, str] = self._describe(prompts)

    def build_model(self) -> PreTrainedModel:
        """Return the GLM to start from."""
        return self._data.start.build(self._data.tokenizer, self._data.max_length)

    def saved_tokenizer(self) -> PreTrainedTokenizerFast:
        """Return the tokenizer of the data."""
        return self._data.tokenizer

    def encode(self, example: TaskExample, sample: Sample) -> list[ClozePrompt]:
        """Return an example in the pattern of its epoch, and perhaps in another language."""
        number = self._patterns[(sample.index + sample.epoch) % len(self._patterns)]
        prompt = self._prompt(example, number, self._words.training)
        if not self._words.crosses:
            return [prompt]
        language = self._words.other_language(self._data.task, sample)
        return [prompt, self._prompt(example, number, self._words.other, language)]

    def scores(
        self, model: nn.Module, inputs: list[ClozePrompt], device: torch.device
    ) -> list[Tensor]:
        """Return for each prompt float32[L], the scores of its candidates."""
        return score_prompts(model, self._special, inputs, self._layout)

    def shares(
        self, model: PreTrainedModel, examples: Sequence[TaskExample], batch_size: int
    ) -> list[Tensor]:
        """Return the probabilities of each example's candidates, averaged over the patterns."""
        predictions = predict(
            model,
            self._data.tokenizer,
            self._data.task,
            examples,
            patterns=self._patterns,
            asking=self._words.held_out,
            prior=self._words.prior,
            max_length=self._data.max_length,
            batch_size=batch_size,
            layout=self._layout,
        )
        return [torch.tensor(one.probabilities) for one in predictions]

    def are_shortened(self, examples: Sequence[TaskExample]) -> list[bool]:
        """Return for each example whether some of its text does not fit into a pattern."""
        asking = self._words.held_out
        return [
            any(self._prompt(one, number, asking).filled.num_removed for number in self._patterns)
            for one in examples
        ]

    def _prompt(
        self, example: TaskExample, number: int, asking: Asking, language: str | None = None
    ) -> ClozePrompt:
        data = self._data
        asked = asking.ask(data.task, example, number, language)
        return encode_example(data.tokenizer, data.task, *asked, max_length=data.max_length)

    def _first_prompt(self, example: TaskExample) -> ClozePrompt:
        return self._prompt(example, self._patterns[0], self._words.training)

    def _first_test(self, example: TaskExample) -> ClozePrompt:
        return self._prompt(example, self._patterns[0], self._words.held_out)

    def _describe(self, prompts: Sequence[ClozePrompt]) -> dict[str, str]:
        task, data = self._data.task, self._data
        words = self._words
        facts = {"patterns": " | ".join(words.training.texts(task, self._patterns))}
        if words.training.prompts is not None:
            how = "cross" if words.crosses else words.training.prompts
            facts["prompts"] = f"{how}, held out: {words.held_out.prompts}"
        if prompts:
            made = f" (made of {len(data.train):,})" if len(data.train) != len(prompts) else ""
            facts["training"] = (
                f"{counted(len(prompts), 'example')}{made}, {describe_prompts(prompts)}"
            )
            if any(prompt.scoring != task.scoring for prompt in prompts):
                facts["scoring"] = (
                    "summed log-probabilities: this vocabulary splits some of the words"
                )
        if data.validation:
            held_out = data.encode_all(data.validation, self._first_test)
            facts["validation"] = (
                f"{counted(len(held_out), 'example')}, {describe_prompts(held_out)}"
            )
        return facts


def describe_prompts(prompts: Sequence[ClozePrompt]) -> str:
    """Return how many examples lost text, and how many have candidates that must tie."""
    num_short = sum(bool(prompt.filled.num_removed) for prompt in prompts)
    num_tied = sum(len(set(prompt.slots)) < len(prompt.slots) for prompt in prompts)
    tied = f", {num_tied:,} with candidates that are the same tokens" if num_tied else ""
    return f"{num_short:,} shortened{tied}"
