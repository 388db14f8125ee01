"""From rules to constraints on tokens, each made once; rules that nothing meets are refused."""

from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence
from itertools import combinations
from threading import Lock
from typing import TYPE_CHECKING

from unblank.plurals import counted
from unblank.rules.automaton import Automaton, build_automaton
from unblank.rules.constraint import NEVER, Constraint
from unblank.rules.expressions import Expressions, TooLargeError
from unblank.rules.meaning import meaning_of
from unblank.rules.rule import Rule
from unblank.rules.token_bytes import Vocabulary, read_token_bytes
from unblank.tokenization.encoding import text_encoder
from unblank.untrusted.panics import panics_named

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["ConstraintMaker"]

_KEPT_CONSTRAINTS = 16
"""Each has some megabytes for a vocabulary of 30,000 tokens."""


class ConstraintMaker:
    """Makes the constraints of one tokenizer, which it does not share; threads may do it at once.

    Args:
        tokenizer: of the model.
        token_ids: those that may be written, in ascending order, without ends.
        end_ids: tokens that end an answer.
        vocab_size: rows of the model's output.
        is_standalone: whether an answer is decoded by itself, or after the text before it.
    """

    def __init__(
        self,
        tokenizer: "PreTrainedTokenizerFast",
        *,
        token_ids: Sequence[int],
        end_ids: Collection[int],
        vocab_size: int,
        is_standalone: bool,
    ) -> None:
        self._core = text_encoder(tokenizer)
        self._unknown_id = tokenizer.unk_token_id
        self._token_ids = token_ids
        self._end_ids = sorted(end_ids)
        self._vocab_size = vocab_size
        self._is_standalone = is_standalone
        self._vocabulary: Vocabulary | None = None
        self._kept: OrderedDict[tuple[tuple[Rule, ...], int], Constraint] = OrderedDict()
        self._lock = Lock()

    def make(self, rules: Sequence[Rule], *, limit: int, min_tokens: int = 0) -> Constraint | None:
        """Return the constraint of the rules on one answer; None without any.

        Args:
            rules: all must hold.
            limit: most tokens for which there is room.
            min_tokens: fewest tokens of an answer, whatever the rules say.

        Raises:
            ValueError: a rule that cannot be read, rules that exclude each other, that no tokens
                of the vocabulary meet, or none within the limit, or that take too much work.
        """
        if not rules:
            return None
        key = (tuple(Rule(**rule.given) for rule in rules), min_tokens)
        low, high = _token_bounds(rules, min_tokens)
        if low > limit:
            raise ValueError(
                f"an answer must have at least {counted(low, 'token')}, but there is room for "
                f"{limit}: raise max_tokens, or ask for fewer"
            )
        with self._lock:
            constraint = self._kept.get(key)
            if constraint is None:
                constraint = self._kept[key] = self._new(rules, low, high)
            self._kept.move_to_end(key)
            if len(self._kept) > _KEPT_CONSTRAINTS:
                self._kept.popitem(last=False)
        if constraint.fewest > min(limit, high):
            raise ValueError(_unmet(rules, constraint.fewest, min(limit, high)))
        return constraint

    def _new(self, rules: Sequence[Rule], low: int, high: int) -> Constraint:
        if self._vocabulary is None:
            self._vocabulary = read_token_bytes(
                self._core, self._token_ids, is_standalone=self._is_standalone
            )
        try:
            automaton = self._automaton(rules)
            if automaton.is_empty:
                raise ValueError(self._conflict(rules))
            return Constraint(
                automaton,
                self._vocabulary,
                vocab_size=self._vocab_size,
                end_ids=self._end_ids,
                min_tokens=low,
                max_tokens=high,
            )
        except TooLargeError:
            raise ValueError(
                f"{_shown(rules)} would take too many steps to follow: give shorter repetitions, "
                "fewer choices or smaller lengths"
            ) from None

    def _automaton(self, rules: Sequence[Rule]) -> Automaton:
        expressions = Expressions()
        return build_automaton(expressions, meaning_of(expressions, rules, self._as_written))

    def _conflict(self, rules: Sequence[Rule]) -> str:
        """Return which of the rules no text meets together."""
        parts = list(_parts(rules))
        for part in parts:
            if self._automaton([part]).is_empty:
                return f"no answer can meet the rule {part}: change it"
        for one, other in combinations(parts, 2):
            if self._automaton([one, other]).is_empty:
                return f"the rules {one} and {other} exclude each other: leave one out"
        return f"no answer can meet all of {_shown(rules)}: leave one out"

    def _as_written(self, text: str) -> str | None:
        with panics_named():
            token_ids = self._core.encode(text, add_special_tokens=False).ids
        if self._unknown_id in token_ids:
            return None
        written: str = self._core.decode(token_ids, skip_special_tokens=False)
        return written.strip() or None


def _token_bounds(rules: Sequence[Rule], min_tokens: int) -> tuple[int, int]:
    low, high = min_tokens, NEVER - 1
    for rule in rules:
        if isinstance(rule.tokens, int):
            low, high = max(low, rule.tokens), min(high, rule.tokens)
        elif rule.tokens is not None:
            low, high = max(low, rule.tokens[0] or 0), min(high, rule.tokens[1] or NEVER - 1)
    if low > high:
        raise ValueError(
            f"an answer must have at least {low} and at most {high} tokens, which exclude each "
            "other: change min_tokens, or a rule on tokens"
        )
    return low, high


def _parts(rules: Sequence[Rule]) -> Iterator[Rule]:
    """Yield a rule for each thing that the rules say."""
    for rule in rules:
        for name, value in rule.given.items():
            yield Rule(blank=rule.blank, **{name: value})


def _unmet(rules: Sequence[Rule], fewest: int, limit: int) -> str:
    if fewest >= NEVER:
        return f"no tokens of this model's vocabulary write an answer that meets {_shown(rules)}"
    return (
        f"{_shown(rules)} needs at least {counted(fewest, 'token')}, but there is room for "
        f"{limit}: raise max_tokens, or change the rule"
    )


def _shown(rules: Sequence[Rule]) -> str:
    shown = "; ".join(map(str, rules))
    return f"the rule{'s' * (len(rules) > 1)} {shown[:200]}"
