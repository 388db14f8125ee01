"""What filling and scoring return, as plain values that print readably."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from warnings import warn

from unblank.html_text import html_table, marked_html

if TYPE_CHECKING:
    from rich.text import Text

__all__ = ["BlankFill", "CandidateScore", "FillResult", "Generated", "Scores", "TokenEvent"]

_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True)
class BlankFill:
    """What fills one blank.

    Attributes:
        text: the answer.
        token_ids: its tokens.
        tokens: the same as strings of the vocabulary.
        log_probabilities: of each token, natural logarithm, under the model.
        end_log_probability: of ending there; None if `max_tokens` cut the answer.
        alternatives: for each token the most likely allowed tokens with their probabilities.
        start: first character of the answer in the filled text.
        end: character after its last.
        confidence: probability that the answer is right, if the model is calibrated and this is
            the likeliest filling of its text that was found, not drawn at random.
        abstained: whether `abstain_below` says not to rely on it.
    """

    text: str
    token_ids: tuple[int, ...]
    tokens: tuple[str, ...]
    log_probabilities: tuple[float, ...]
    end_log_probability: float | None
    alternatives: tuple[tuple[tuple[str, float], ...], ...]
    start: int
    end: int
    confidence: float | None = None
    abstained: bool = False

    @property
    def finished(self) -> bool:
        """Whether the model itself ended the answer."""
        return self.end_log_probability is not None

    @property
    def log_probability(self) -> float:
        """Of the whole answer, its end included."""
        return math.fsum(self.log_probabilities) + (self.end_log_probability or 0.0)

    def to_dict(self, share: float) -> dict[str, Any]:
        """Return all of it as values that JSON can hold.

        Args:
            share: of the text among those that were found for this blank.
        """
        return {
            **asdict(self),
            "finished": self.finished,
            "probability": math.exp(self.log_probability),
            "share": share,
        }

    def __str__(self) -> str:
        cut = "" if self.finished else ", cut at the longest allowed length"
        sure = "" if self.confidence is None else f", confidence {self.confidence:.0%}"
        doubt = ", abstained" if self.abstained else ""
        return f"{self.text!r} (log p {self.log_probability:.2f}{sure}{doubt}{cut})"


@dataclass(frozen=True, slots=True)
class FillResult:
    """A filled text.

    Attributes:
        text: the text with every blank filled.
        blanks: the answers, in the order of the text.
        alternatives: further fillings of the same text, best first.
        calibration: what the confidence of its blanks was learned from; empty if they have none.
    """

    text: str
    blanks: tuple[BlankFill, ...]
    alternatives: tuple["FillResult", ...] = ()
    calibration: str = ""

    @property
    def log_probability(self) -> float:
        """Joint log-probability of all answers."""
        return math.fsum(blank.log_probability for blank in self.blanks)

    @property
    def shares(self) -> tuple[float, ...]:
        """Share of this filling, then of each alternative, in the probability of all of them.

        The same filling twice, as sampling may give it, counts once.
        """
        found = (self, *self.alternatives)
        weights = _shares({one._key: one.log_probability for one in found})
        return tuple(weights[one._key] for one in found)

    @property
    def choices(self) -> tuple[tuple[tuple[str, float], ...], ...]:
        """For each blank what fills it here or in an alternative, with its share, best first."""
        found = {one._key: one for one in (self, *self.alternatives)}
        weights = _shares({key: one.log_probability for key, one in found.items()})
        choices = []
        for blank in range(len(self.blanks)):
            of_texts: dict[str, float] = {}
            for key, one in found.items():
                text = one.blanks[blank].text
                of_texts[text] = of_texts.get(text, 0.0) + weights[key]
            choices.append(tuple(sorted(of_texts.items(), key=lambda pair: -pair[1])))
        return tuple(choices)

    @property
    def _key(self) -> tuple[tuple[int, ...], ...]:
        return tuple(blank.token_ids for blank in self.blanks)

    @property
    def finished(self) -> tuple[bool, ...]:
        """For each blank whether the model itself ended the answer."""
        return tuple(blank.finished for blank in self.blanks)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as values that JSON can hold.

        Everywhere, in files and over HTTP, too, `probability` is that of the model, `share` that
        among what was found, which sums to 1, and `confidence` is calibrated.
        """
        of_blanks = [dict(choices) for choices in self.choices]
        first, *others = (
            {
                "text": one.text,
                "log_probability": one.log_probability,
                "probability": math.exp(one.log_probability),
                "share": share,
                "blanks": [
                    blank.to_dict(shares[blank.text])
                    for blank, shares in zip(one.blanks, of_blanks, strict=True)
                ],
                "alternatives": [],
                "calibration": one.calibration,
            }
            for one, share in zip((self, *self.alternatives), self.shares, strict=True)
        )
        return first | {"alternatives": others}

    def __str__(self) -> str:
        lines = [f"{self.text}  (log p {self.log_probability:.2f})"]
        lines += [f"  {number}. {blank}" for number, blank in enumerate(self.blanks, start=1)]
        lines += [
            f"  or: {other.text}  (log p {other.log_probability:.2f})"
            for other in self.alternatives
        ]
        return "\n".join(lines)

    def __repr__(self) -> str:
        answers = [blank.text for blank in self.blanks]
        others = f", alternatives={len(self.alternatives)}" if self.alternatives else ""
        return (
            f"FillResult({self.text!r}, blanks={answers}, "
            f"log_probability={self.log_probability:.2f}{others})"
        )

    def _repr_html_(self) -> str:
        tokens = [
            (number, token, f"{math.exp(log_p):.1%}", _others(others, token))
            for number, blank in enumerate(self.blanks, start=1)
            for token, log_p, others in zip(
                blank.tokens,
                blank.log_probabilities,
                blank.alternatives or [()] * len(blank.tokens),
                strict=True,
            )
        ]
        found = self._marked_html()
        if tokens:
            found += html_table("", ("blank", "token", "probability", "instead of it"), tokens)
        return found + "".join(other._marked_html() for other in self.alternatives)

    def _marked_html(self) -> str:
        return marked_html(self.text, self._spans)

    def marked(self) -> "Text":
        """Return the text for rich, its answers marked."""
        from unblank.consoles import marked_text

        return marked_text(self.text, self._spans)

    def __rich__(self) -> "Text":
        from rich.text import Text

        lines = [
            one.marked().append(f"  {share:.1%}" if self.alternatives else "", style="dim")
            for one, share in zip((self, *self.alternatives), self.shares, strict=True)
        ]
        return Text("\n").join(lines)

    @property
    def _spans(self) -> list[tuple[int, int]]:
        return sorted((blank.start, blank.end) for blank in self.blanks)


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """One token of a fill under way.

    Attributes:
        blank: which blank of the text, counted from 0.
        token: the token as a string of the vocabulary.
        token_id: its id.
        log_probability: under the model.
        blank_text: the answer so far.
        is_end: whether this token ends the answer; then it adds no text.
    """

    blank: int
    token: str
    token_id: int
    log_probability: float
    blank_text: str
    is_end: bool


@dataclass(frozen=True, slots=True)
class CandidateScore:
    """The score of one candidate.

    Attributes:
        text: as given.
        token_ids: its tokens, without the end token.
        score: log-probability, summed or averaged over the tokens, perhaps without a prior.
        share: among the candidates, softmax of the scores, perhaps calibrated; they sum to 1.
    """

    text: str
    token_ids: tuple[int, ...]
    score: float
    share: float

    @property
    def probability(self) -> float:
        """The old name of `share`, for one more version."""
        warn(
            "CandidateScore.probability is called share now, as in files and over HTTP: the old "
            "name goes with version 0.4",
            DeprecationWarning,
            stacklevel=2,
        )
        return self.share


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of all candidates for one blank.

    Attributes:
        candidates: in the order given.
        calibration: what their shares were calibrated on; empty for the model's own.
    """

    candidates: tuple[CandidateScore, ...]
    calibration: str = ""

    @property
    def best(self) -> CandidateScore:
        """The candidate with the highest score."""
        return self.ranked[0]

    @property
    def ranked(self) -> list[CandidateScore]:
        """The candidates, best first."""
        return sorted(self.candidates, key=lambda candidate: -candidate.score)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as values that JSON can hold, best first."""
        return {
            "candidates": [asdict(candidate) for candidate in self.ranked],
            "calibration": self.calibration,
        }

    def __str__(self) -> str:
        return "\n".join(
            f"{candidate.score:9.3f}  {candidate.share:6.1%}  {candidate.text}"
            for candidate in self.ranked
        )

    def __repr__(self) -> str:
        shares = (f"{one.text!r}: {one.share:.1%}" for one in self.ranked)
        return f"Scores({', '.join(shares)})"

    def _repr_html_(self) -> str:
        rows = [(one.text, f"{one.score:.3f}", f"{one.share:.1%}") for one in self.ranked]
        return html_table("", ("candidate", "log-probability", "share"), rows)


@dataclass(frozen=True, slots=True)
class Generated:
    """What a model wrote to one source.

    Attributes:
        text: the answer.
        token_ids: its tokens, without an end.
        log_probability: of its tokens, and of its end if it has one.
        finished: whether the model itself ended it before the greatest length.
        is_source_cut: whether the source was too long and its end was left out.
        alternatives: other answers, best first.
    """

    text: str
    token_ids: tuple[int, ...]
    log_probability: float
    finished: bool
    is_source_cut: bool = False
    alternatives: tuple["Generated", ...] = ()

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        others = f", alternatives={len(self.alternatives)}" if self.alternatives else ""
        return (
            f"Generated({self.text!r}, log_probability={self.log_probability:.2f}, "
            f"finished={self.finished}{others})"
        )

    def _repr_html_(self) -> str:
        rows = [(one.text, f"{one.log_probability:.2f}") for one in (self, *self.alternatives)]
        return html_table("", ("answer", "log-probability"), rows)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        values = asdict(self)
        values["token_ids"] = list(self.token_ids)
        values["alternatives"] = [other.to_dict() for other in self.alternatives]
        return values


def _shares(log_probabilities: Mapping[_Key, float]) -> dict[_Key, float]:
    """Return the share of each in the sum of all probabilities."""
    highest = max(log_probabilities.values())
    weights = {key: math.exp(log_p - highest) for key, log_p in log_probabilities.items()}
    total = math.fsum(weights.values())
    return {key: weight / total for key, weight in weights.items()}


def _others(likely: tuple[tuple[str, float], ...], chosen: str) -> str:
    """Return the likely tokens but the chosen one, with their probabilities."""
    return ", ".join(f"{token} {share:.1%}" for token, share in likely if token != chosen)
