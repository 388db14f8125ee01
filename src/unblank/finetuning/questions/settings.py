"""The settings of question answering. Standard library only: `--help` reads it."""

from dataclasses import dataclass
from typing import Literal

from unblank.settings.choices import PromptMode
from unblank.settings.ranges import check_values

__all__ = ["QuestionMetric", "QuestionSettings"]

QuestionMetric = Literal["f1", "em", "char_f1", "loss"]


@dataclass(frozen=True, kw_only=True, slots=True)
class QuestionSettings:
    """Question answering (--task qa)."""

    prompts: PromptMode = "english"
    """In which words a question is put: English ones, those of its language, or none."""
    rules: Literal["squad", "mlqa"] = "squad"
    """Whose official rules score the answers: SQuAD's (also XQuAD and TyDiQA), or MLQA's, which
    follow the language of the passage."""
    extract: bool = False
    """Allow only held-out answers that appear in the passage, word for word."""

    def __post_init__(self) -> None:
        check_values(self)
