"""Training on questions about passages; see `unblank.engine.training.Training`.

What is learned are pairs (a window of a passage with its question, and the answer), so batches,
losses and resuming are those of pairs. Only what is measured is another thing: official scores of
the best answer over all windows.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from unblank.data.loader import StepBatches
from unblank.engine.parallel import World
from unblank.engine.training import Evaluation
from unblank.engine.units import TrainUnit
from unblank.finetuning.pairs.answers import Answering
from unblank.finetuning.pairs.training import PairTraining
from unblank.generation.building import answer_setup
from unblank.generation.rows import Prompt
from unblank.metrics.questions import AnswerRules
from unblank.questions.answers import (
    answer_line,
    best_answers,
    named_scores,
    question_scores,
)
from unblank.questions.asked import AskedQuestion, WindowCounts
from unblank.questions.asking import QuestionEncoder
from unblank.questions.extraction import window_prompts

__all__ = ["HeldOutQuestions", "QuestionTraining"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutQuestions:
    """What is measured, and how.

    Attributes:
        asked: questions with the windows of their passages; perhaps none.
        rules: whose official scores.
        encoder: has laid the windows out.
        answering: how answers are decoded.
        extract: whether answers must stand in their passages.
        world: the processes of the run.
    """

    asked: Sequence[AskedQuestion]
    rules: AnswerRules
    encoder: QuestionEncoder
    answering: Answering
    extract: bool
    world: World


class QuestionTraining:
    """See `unblank.engine.training.Training`; made by `open_questions`.

    Args:
        pairs: the windows with their answers, and the loss of those held out.
        held_out: what is measured.
        metric: the score that chooses the best checkpoint.
        counts: what became of the training questions.
    """

    unit: TrainUnit

    def __init__(
        self,
        pairs: PairTraining,
        held_out: HeldOutQuestions,
        metric: str,
        counts: WindowCounts,
    ) -> None:
        self.tokenizer: PreTrainedTokenizerFast = pairs.tokenizer
        self.metric = metric
        self.higher_is_better = metric != "loss"
        self.steps_per_epoch = pairs.steps_per_epoch
        self.content = pairs.content
        self._pairs, self._held_out = pairs, held_out
        self.facts: Mapping[str, str] = {
            **pairs.facts,
            "task": f"question answering, {counts}, {self.steps_per_epoch:,} steps an epoch",
            "chosen by": f"{metric} of {WindowCounts.of(held_out.asked)}",
        }

    def build_model(self) -> PreTrainedModel:
        """Return the model to start from.

        Raises:
            ValueError: as for `_prompts`, before the first step.
        """
        model = self._pairs.build_model()
        self.unit = self._pairs.unit
        if self._held_out.asked and self.metric != "loss":
            self._prompts(model)
        return model

    def steps(self, saved: Mapping[str, int] | None, /) -> Generator[StepBatches]:
        """Yield the data of each step."""
        yield from self._pairs.steps(saved)

    def evaluate(self, model: PreTrainedModel, /) -> Evaluation:
        """Return the loss of held-out answers and, unless it is the metric, scores of answers."""
        loss = self._pairs.evaluate(model).scores
        held_out = self._held_out
        if self.metric == "loss":
            return Evaluation(scores=loss)
        prompts = self._prompts(model)
        written = held_out.answering.write(model, self.tokenizer, prompts, held_out.world)
        questions = [one.question for one in held_out.asked]
        num_windows = [len(one.windows) for one in held_out.asked]
        answers = best_answers(questions, num_windows, written)
        scores = named_scores(question_scores(questions, answers, held_out.rules))
        return Evaluation(
            scores={**loss, **scores},
            predictions=[
                answer_line(question, answer, held_out.rules)
                for question, answer in zip(questions, answers, strict=True)
            ],
            note=f"f1, em: official rules of {held_out.rules}; char_f1: of characters, our own",
        )

    def _prompts(self, model: PreTrainedModel) -> list[Prompt]:
        """Return what the held-out questions are asked with.

        Raises:
            ValueError: the model cannot answer so, or must find an answer in a passage that has
                none; names the question.
        """
        held_out = self._held_out
        rules = answer_setup(model, self.tokenizer, held_out.answering.options).rules
        return window_prompts(held_out.asked, held_out.encoder, rules if held_out.extract else None)

    def fill(self, model: PreTrainedModel, /) -> list[dict[str, str]]:
        """Return nothing: predictions show what is answered."""
        return []
