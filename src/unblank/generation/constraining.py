"""The rules of texts, made into constraints on the tokens of their answers."""

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

from unblank.generation.options import SearchOptions
from unblank.plurals import counted, numbered
from unblank.rules.constraint import Constraint
from unblank.rules.making import ConstraintMaker
from unblank.rules.rule import Rule, RuleLike, read_rules

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from unblank.generation.decoding import TokenRules

__all__ = ["AnswerConstraints", "TextRules", "rules_of_each"]

TextRules = Sequence[RuleLike] | RuleLike | Sequence[Sequence[RuleLike]]
"""Rules on every text; or for each of several texts a list of its own."""

_MAKERS: WeakKeyDictionary[Any, dict[Hashable, ConstraintMaker]] = WeakKeyDictionary()
"""Tokenizer -> what makes constraints for it, as long as the tokenizer is there."""


class AnswerConstraints:
    """Makes rules into constraints, each once.

    Args:
        tokenizer: of the model.
        token_rules: what may be written without any rules.
        options: how tokens are chosen.
        is_standalone: whether an answer is decoded by itself, or after the text before it.
    """

    def __init__(
        self,
        tokenizer: "PreTrainedTokenizerFast",
        token_rules: "TokenRules",
        options: SearchOptions,
        *,
        is_standalone: bool,
    ) -> None:
        self._options = options
        self._tokenizer = tokenizer
        self._token_rules = token_rules
        self._is_standalone = is_standalone

    def constraints(
        self, rules: Sequence[Rule], blanks: Sequence[int], *, max_tokens: int
    ) -> tuple[Constraint | None, ...]:
        """Return the constraint on the answer in each blank; nothing without rules.

        Args:
            rules: of the text.
            blanks: in the order of filling, counted from 0 in the text.
            max_tokens: most tokens of an answer.

        Raises:
            ValueError: a rule on a blank that is not there; rules that cannot be met.
        """
        if not rules:
            return ()
        if self._options.no_repeat_ngram:
            raise ValueError("rules and no_repeat_ngram exclude each other: leave one out")
        for rule in rules:
            if rule.blank is not None and rule.blank not in blanks:
                raise ValueError(
                    f"the rule {rule} is on blank {rule.blank}: the text has "
                    f"{numbered(len(blanks), 'blank')} only"
                )
        maker = self._maker()
        return tuple(
            maker.make(
                [rule for rule in rules if rule.blank in (None, blank)],
                limit=max_tokens,
                min_tokens=self._options.min_tokens,
            )
            for blank in blanks
        )

    def _maker(self) -> ConstraintMaker:
        """Return what makes them; one for all calls with the same tokenizer, which it reads."""
        rules = self._token_rules
        about = (len(self._tokenizer), rules.vocab_size, rules.end_ids, self._is_standalone)
        makers = _MAKERS.setdefault(self._tokenizer, {})
        if about not in makers:
            makers[about] = ConstraintMaker(
                self._tokenizer,
                token_ids=rules.allowed_ids,
                end_ids=rules.end_ids,
                vocab_size=rules.vocab_size,
                is_standalone=self._is_standalone,
            )
        return makers[about]


def rules_of_each(given: TextRules | None, num_texts: int) -> list[tuple[Rule, ...]]:
    """Return the rules of each of several texts.

    Raises:
        ValueError, TypeError: as for `read_rules`; or another number of lists than of texts.
    """
    if given is None:
        return [()] * num_texts
    if (
        isinstance(given, list | tuple)
        and given
        and all(isinstance(x, list | tuple) for x in given)
    ):
        lists = cast("Sequence[Sequence[RuleLike]]", given)
        if len(lists) != num_texts:
            raise ValueError(
                f"rules are {counted(len(lists), 'list')} for {counted(num_texts, 'text')}: give "
                "one for each text, or one list of rules for all"
            )
        return [read_rules(one) for one in lists]
    return [read_rules(cast("Sequence[RuleLike]", given))] * num_texts
