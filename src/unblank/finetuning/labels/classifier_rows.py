"""What a classifier reads: the texts that a task names, with special tokens around them.

A GLM reads `[CLS] a [SEP] b end`, a GanLM `[CLS] a end end b end`, as in the published programs. A
task whose texts name the `{candidate}` has a row for each candidate. What gives way in a row that
is too long is cut by tokens where it is a text of its own, as tokenizers do it.

Shapes: `R` rows, `T` columns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from unblank.prompting.examples import CANDIDATE, TaskExample
from unblank.prompting.patterns import End, FieldUse, fill_template, fit_fields
from unblank.prompting.task import ClozeTask
from unblank.tokenization.encoding import encode_texts
from unblank.tokenization.special import SpecialIds

__all__ = ["ClassifierRow", "RowEncoder", "pad_rows"]


@dataclass(frozen=True, slots=True)
class ClassifierRow:
    """One text as the model reads it; `is_shortened` if it lost something."""

    token_ids: tuple[int, ...]
    is_shortened: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RowEncoder:
    """Makes rows of examples.

    Attributes:
        tokenizer: of the model.
        special: its special tokens, as the family uses them.
        task: names the texts.
        max_length: positions of a row.
        between: ids between two texts of a row.
    """

    tokenizer: PreTrainedTokenizerFast
    special: SpecialIds
    task: ClozeTask
    max_length: int
    between: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.task.classifier:
            raise ValueError(
                f"{self.task.path} names no texts for a classifier: add `classifier: "
                '["{field}", "{field}"]`, or train it as a cloze question (--method full)'
            )

    @property
    def is_by_candidate(self) -> bool:
        """Whether an example has a row for each of its candidates."""
        return CANDIDATE in self._uses

    @property
    def _uses(self) -> list[str]:
        parts = [part for template in self.task.classifier for part in template]
        return [part.name for part in parts if isinstance(part, FieldUse)]

    def rows(self, example: TaskExample) -> list[ClassifierRow]:
        """Return the rows of an example: one, or one for each candidate.

        Raises:
            ValueError: if it cannot be shortened enough; the message names file and line.
        """
        if not self.is_by_candidate:
            return [self._row(example, example.fields)]
        return [
            self._row(example, {**example.fields, CANDIDATE: candidate})
            for candidate in example.candidates
        ]

    @property
    def cut(self) -> tuple[int, End] | None:
        """Number of the text that gives way first, and at which end; None if it has other words."""
        only: dict[str, End] = {self._uses[0]: "end"} if len(set(self._uses)) == 1 else {}
        order = only if self.task.shorten is None else self.task.shorten
        if not order:
            return None
        name, end = next(iter(order.items()))
        alone = (FieldUse(name),)
        if alone not in self.task.classifier or self._uses.count(name) > 1:
            return None
        return self.task.classifier.index(alone), end

    def _row(self, example: TaskExample, fields: Mapping[str, str]) -> ClassifierRow:
        try:
            texts = self._texts(fields)
            if (excess := len(self._framed(texts)) - self.max_length) <= 0:
                return ClassifierRow(tuple(self._framed(texts)), False)
            if self.cut is not None and excess <= len(texts[self.cut[0]]):
                number, end = self.cut
                whole = texts[number]
                texts[number] = whole[excess:] if end == "start" else whole[:-excess]
                return ClassifierRow(tuple(self._framed(texts)), True)
            fitted = fit_fields(
                self.tokenizer,
                fields,
                lambda values: self._framed(self._texts(values)),
                uses=self._uses,
                shorten=self.task.shorten,
                max_tokens=self.max_length,
            )
        except ValueError as error:
            raise ValueError(f"{example.place}: {error}") from error
        return ClassifierRow(fitted.token_ids, True)

    def _texts(self, fields: Mapping[str, str]) -> list[list[int]]:
        filled = [fill_template(template, fields) for template in self.task.classifier]
        return encode_texts(self.tokenizer, filled)

    def _framed(self, texts: Sequence[Sequence[int]]) -> list[int]:
        first, *others = texts
        ids = [*self.special.start, *first]
        for other in others:
            ids += [*self.between, *other]
        return [*ids, self.special.eos]


def pad_rows(rows: Sequence[ClassifierRow], pad_id: int) -> dict[str, Tensor]:
    """Return int64[R, T] `input_ids`, padded on the right, and their `attention_mask`."""
    width = max(len(row.token_ids) for row in rows)
    input_ids = torch.full((len(rows), width), pad_id)
    attention_mask = torch.zeros_like(input_ids)
    for number, row in enumerate(rows):
        input_ids[number, : len(row.token_ids)] = torch.tensor(row.token_ids)
        attention_mask[number, : len(row.token_ids)] = 1
    return {"input_ids": input_ids, "attention_mask": attention_mask}
