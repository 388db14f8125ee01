"""How a question about a passage is put: in English, in the passage's language, or without words.

The texts are data (`prompts.yaml`). A GLM answers in the blank; an encoder-decoder reads the text
without it and writes the answer as its target.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unblank.generation.rows import Prompt
from unblank.languages import find_language
from unblank.prompting.patterns import Pattern, fill_template, parse_pattern
from unblank.prompting.yaml_lines import build_from_yaml
from unblank.questions.reading import Question
from unblank.settings.choices import PromptMode
from unblank.tokenization.encoding import encode_around_blanks, encode_texts
from unblank.tokenization.source_layout import encoder_source, glm_part_a
from unblank.tokenization.special import SpecialIds

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = [
    "QuestionEncoder",
]


_FILE = Path(__file__).parent / "prompts.yaml"
_ENGLISH = "en"


@dataclass(frozen=True, slots=True)
class _Texts:
    pattern: Pattern
    universal: Pattern
    hints: Mapping[str, Mapping[str, str]]
    languages: Mapping[str, Pattern]


@cache
def _texts() -> _Texts:
    return build_from_yaml(_FILE, _build)


def _build(_path: Path, entries: Any) -> _Texts:
    languages = {str(code): parse_pattern(text) for code, text in entries["languages"].items()}
    pattern, universal = (parse_pattern(entries[name]) for name in ("pattern", "universal"))
    hints = {str(code): dict(words) for code, words in entries["hints"].items()}
    return _Texts(pattern, universal, hints, languages)


def question_texts(question: Question, context: str, prompts: PromptMode) -> tuple[str, str]:
    """Return the text before the blank, and the text after it.

    Raises:
        ValueError: there are no words in the question's language.

    Example:
        >>> question = Question("", "", "zh", "", "\u8c01?", ())
        >>> question_texts(question, "...", "translated")
        ('...\u95ee\u9898\uff1a\u8c01?\u7b54\u6848\uff1a', '')
    """
    texts = _texts()
    fields = {"context": context, "question": question.text}
    if prompts == "universal":
        pattern = texts.universal
    else:
        code = _ENGLISH if prompts == "english" else _known(question, texts)
        pattern = texts.languages.get(code, texts.pattern)
        fields |= texts.hints[code]
    return fill_template(pattern.before, fields), fill_template(pattern.after, fields)


def _known(question: Question, texts: _Texts) -> str:
    """Return the code by which there are words in the question's language."""
    if not question.language:
        raise ValueError(
            f"{question.place}: the question has no language, which translated prompts need: give "
            "a field 'lang', FILE@xx or {lang} in the path, or choose qa.prompts english"
        )
    for code in (question.language, find_language(question.language).base):
        if code in texts.hints:
            return code
    raise ValueError(
        f"{question.place}: there are no words for a question in {question.language!r}, only in "
        f"{', '.join(texts.hints)}: choose qa.prompts english or universal"
    )


@dataclass(frozen=True, slots=True)
class QuestionEncoder:
    """Makes what a model reads of a question and a part of its passage.

    Attributes:
        tokenizer: of the model.
        special: its special tokens, as its family uses them.
        prompts: in which words questions are put.
        blank: in which a GLM answers; empty for an encoder-decoder.
    """

    tokenizer: "PreTrainedTokenizerFast"
    special: SpecialIds
    prompts: PromptMode
    blank: str

    def encode(self, question: Question, context: str) -> tuple[int, ...]:
        """Return the whole input; errors as for `question_texts`."""
        before, after = question_texts(question, context, self.prompts)
        if not self.blank:
            (ids,) = encode_texts(self.tokenizer, [f"{before.rstrip()} {after}".strip()])
            return encoder_source(ids, self.special.eos)
        ids = encode_around_blanks(self.tokenizer, [before, after], [self.blank])
        return glm_part_a(ids, self.special)

    def prompt(self, token_ids: tuple[int, ...]) -> Prompt:
        """Return an input of `encode` as decoding takes it."""
        if not self.blank:
            return Prompt(token_ids, (0,))
        place = next(n for n, token in enumerate(token_ids) if token in self.special.blanks)
        return Prompt(token_ids, (place,))

    def text(self, question: Question, context: str) -> str:
        """Return the same as a text."""
        before, after = question_texts(question, context, self.prompts)
        return (
            f"{before}{self.blank}{after}" if self.blank else f"{before.rstrip()} {after}".strip()
        )

    def answer_ids(self, answer: str) -> list[int]:
        """Return an answer as it is written; the end is not part of it."""
        (ids,) = encode_texts(self.tokenizer, [self._as_written(answer)])
        return ids

    def answer_offsets(self, answer: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Return the same with first character and end of each token in what is written."""
        encoded = self.tokenizer(
            self._as_written(answer), add_special_tokens=False, split_special_tokens=True,
            return_offsets_mapping=True, verbose=False,
        )  # fmt: skip
        return encoded["input_ids"], encoded["offset_mapping"]

    def _as_written(self, answer: str) -> str:
        return f" {answer}" if self.blank else answer
