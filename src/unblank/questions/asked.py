"""Questions with the windows of their passages, as a model is asked."""

from collections.abc import Sequence
from dataclasses import dataclass

from unblank.plurals import counted
from unblank.progress_bars import counting_bar
from unblank.questions.asking import QuestionEncoder
from unblank.questions.reading import Question
from unblank.questions.windows import PassageWindow, cut_windows

__all__ = ["AskedQuestion", "WindowCounts", "ask"]

_MANY = 1000
"""Number of questions from which encoding takes long enough to show a progress bar."""


@dataclass(frozen=True, slots=True)
class AskedQuestion:
    """A question and the windows of its passage.

    Attributes:
        question: with its right answers.
        windows: at least one.
    """

    question: Question
    windows: tuple[PassageWindow, ...]

    @property
    def is_findable(self) -> bool:
        """Whether some window holds a right answer whole."""
        answers = self.question.answers
        return any(window.holds(answer) for window in self.windows for answer in answers)


@dataclass(frozen=True, slots=True)
class WindowCounts:
    """What became of the questions of an entry.

    Attributes:
        num_questions: questions.
        num_windows: windows of all passages.
        num_unfindable: questions whose answers are cut by every window.
    """

    num_questions: int
    num_windows: int
    num_unfindable: int

    @classmethod
    def of(cls, asked: Sequence[AskedQuestion]) -> "WindowCounts":
        """Count some questions."""
        num_windows = sum(len(one.windows) for one in asked)
        return cls(len(asked), num_windows, sum(not one.is_findable for one in asked))

    def __str__(self) -> str:
        lost = f", {self.num_unfindable:,} with no answer whole in one"
        return (
            f"{counted(self.num_questions, 'question')} in "
            f"{counted(self.num_windows, 'window')}{lost * bool(self.num_unfindable)}"
        )


def ask(
    questions: Sequence[Question],
    encoder: QuestionEncoder,
    max_tokens: int,
    *,
    show_progress: bool = False,
) -> list[AskedQuestion]:
    """Return the questions with the windows of their passages.

    Args:
        questions: of one file.
        encoder: lays out what the model reads.
        max_tokens: of an input.
        show_progress: show a bar on the error stream if there are many.

    Raises:
        ValueError: a question that leaves no room for its passage, or is in a language for which
            there are no words; the message names file and line.
    """
    asked = []
    is_shown = show_progress and len(questions) > _MANY
    with counting_bar("encoding questions", len(questions), show=is_shown) as advance:
        for question in questions:
            asked.append(_asked(question, encoder, max_tokens))
            advance(1)
    return asked


def _asked(question: Question, encoder: QuestionEncoder, max_tokens: int) -> AskedQuestion:
    try:
        windows = cut_windows(
            encoder.tokenizer,
            question.context,
            lambda context: encoder.encode(question, context),
            max_tokens,
        )
    except ValueError as error:
        message = str(error)
        is_placed = message.startswith(question.place)
        raise ValueError(message if is_placed else f"{question.place}: {message}") from error
    return AskedQuestion(question, tuple(windows))
