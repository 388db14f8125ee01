"""What requests hold: the fields of `DecodingOptions`, `GenerationOptions` and of scoring, as JSON.

Names, defaults and meanings are those of the library; a test compares them. What fits together is
checked by the library's own options.
"""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from unblank.generation.options import DecodingOptions, GenerationOptions
from unblank.prompting.task_files import task_names
from unblank.rules.rule import Rule, read_rules
from unblank.settings.choices import BlankToken, Context, Layout, Normalization

__all__ = [
    "MOST_TEXTS",
    "FillBody",
    "GenerateBody",
    "ModelBody",
    "Rules",
    "ScoreBody",
    "Text",
    "ViewBody",
    "classify_body",
    "read_rule_bodies",
]

MOST_TEXTS = 256
"""Most texts of a request."""

MOST_PASSAGES = 32
"""Most passages of a text, which go through the model together."""

MOST_RULES = 20

LARGEST = 1_000_000
"""Largest count of any kind: the real limit depends on the model, this one keeps to C's range."""

Text = Annotated[str, Field(max_length=1_000_000)]
Texts = Annotated[list[Text], Field(min_length=1, max_length=MOST_TEXTS)]
Passages = Annotated[list[Text], Field(min_length=1, max_length=MOST_PASSAGES)]
_Count = Annotated[int, Field(ge=1, le=LARGEST)]
CountOrNone = Annotated[int, Field(ge=0, le=LARGEST)]
LengthBody = CountOrNone | Annotated[list[CountOrNone | None], Field(min_length=2, max_length=2)]


class ModelBody(BaseModel):
    """A request to one of the models."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str | None = Field(None, description="Name of the model. Default: the first one.")


class RuleBody(BaseModel):
    """What the answer in a blank must be like."""

    model_config = ConfigDict(extra="forbid", strict=True)

    blank: CountOrNone | None = Field(None, description="Which blank, from 0. Default: every one.")
    regex: str | None = Field(None, description="Matches the whole answer; in Python's syntax.")
    choices: list[Text] = Field([], description="The answer is one of these.")
    contains: list[Text] = Field([], description="Words; of forms divided by |, one is enough.")
    excludes: list[Text] = Field([], description="Words that the answer must not contain.")
    tokens: LengthBody | None = Field(None, description="Exactly, or [at least, at most].")
    words: LengthBody | None = Field(None, description="Exactly, or [at least, at most].")
    characters: LengthBody | None = Field(None, description="Exactly, or [at least, at most].")
    case: Literal["lower", "upper", "title"] | None = Field(None, description="Of its letters.")
    script: str | None = Field(None, description="digits, letters, or a script such as Latin.")


Rules = Annotated[list[Text | RuleBody], Field(max_length=MOST_RULES)]


def read_rule_bodies(rules: Sequence[str | RuleBody]) -> tuple[Rule, ...]:
    """Return the rules of a request; ValueError if one is not possible."""
    return read_rules([one if isinstance(one, str) else one.model_dump() for one in rules])


class _SearchBody(ModelBody):
    num_beams: Annotated[int, Field(ge=1, le=64)] = Field(1, description="Number of beams.")
    do_sample: bool = Field(False, description="Draw tokens at random.")
    temperature: float = Field(1.0, ge=0.001, le=1000, description="Of sampling.")
    top_k: CountOrNone = Field(0, description="Draw from the k most likely tokens only; 0 = all.")
    top_p: float = Field(
        1.0, gt=0, le=1, description="Draw from the likeliest tokens of this probability only."
    )
    num_return: Annotated[int, Field(ge=1, le=64)] = Field(
        1, description="Alternative answers to each text, best first."
    )
    min_tokens: CountOrNone = Field(0, description="Fewest tokens of an answer.")
    max_tokens: _Count | None = Field(None, description="Most tokens of an answer.")
    no_repeat_ngram: CountOrNone = Field(
        0, description="No n-gram of this length occurs twice in an answer; 0 = off."
    )
    seed: int = Field(0, ge=0, le=2**63 - 1, description="Of sampling.")
    rules: Rules = Field(
        [],
        description="What the answers must be like: texts [BLANK:] NAME=VALUE, or objects.",
        examples=[["0: words=1..3", {"blank": 1, "choices": ["rain", "snow"]}]],
    )
    stream: bool = Field(
        False, description="Send each token of one text as a server-sent event, then the result."
    )


class FillBody(_SearchBody):
    """Texts with blanks to be filled."""

    text: Text | Texts = Field(
        description="One text or several, with [MASK], [sMASK] or [gMASK] where something is "
        "missing.",
        examples=["The [MASK] was called off because of the [MASK]."],
    )
    order: Annotated[list[CountOrNone], Field(max_length=1000)] | Literal["confidence"] | None = (
        Field(
            None, description="Order in which the blanks are filled, from 0; or the surest first."
        )
    )
    length_penalty: float = Field(0.0, ge=-10, le=10, description="Of beam search.")
    num_alternatives: Annotated[int, Field(ge=0, le=100)] = Field(
        5, description="Most likely tokens to report for each token."
    )
    context: Context = Field("bi", description="What a token of the text sees.")
    decoder: Literal["evaluation", "interactive"] = Field(
        "evaluation", description="Which decoder of the published GLM is followed."
    )
    abstain_below: float | None = Field(
        None, gt=0, le=1, description="Mark fills that are less probable to be right as abstained."
    )
    passages: Passages | None = Field(
        None,
        description="Texts that may help one text with one blank, each put before it; the "
        "probabilities that they lead to are averaged.",
    )

    def options(self) -> DecodingOptions:
        """Return how to decode; ValueError if the options do not go together."""
        return DecodingOptions(**_values(self, fields(DecodingOptions)))


class GenerateBody(_SearchBody):
    """Sources to be answered."""

    source: Text | Texts = Field(
        description="One source or several.", examples=["A dog runs across the field."]
    )
    length_penalty: float = Field(1.0, ge=-10, le=10, description="Of beam search.")
    max_tokens_ratio: float = Field(
        0.0, ge=0, le=1000, description="Added to max_tokens for each token of the source."
    )
    source_tag: str | None = Field(None, description="Language tag before the source.")
    target_tag: str | None = Field(None, description="Language tag that the answer starts with.")
    blank: BlankToken | None = Field(
        None, description="GLM: the blank after the source that the answer fills."
    )
    too_long: Literal["refuse", "cut"] = Field(
        "refuse", description="What happens to a source beyond the model's positions."
    )

    def options(self) -> GenerationOptions:
        """Return how to decode; ValueError if the options do not go together."""
        return GenerationOptions(**_values(self, fields(GenerationOptions)))


class ScoreBody(ModelBody):
    """Candidates for a blank, or for the answer to a source, to be scored."""

    text: Text = Field(
        description="GLM: a text with a blank. Encoder-decoder: a source.",
        examples=["The film was [MASK]."],
    )
    candidates: Annotated[list[Text], Field(min_length=1, max_length=1000)] = Field(
        description="Answers of any lengths.", examples=[["great", "a waste of time"]]
    )
    blank: CountOrNone = Field(0, description="GLM: which blank, counted from 0.")
    normalization: Normalization = Field(
        "sum",
        description="Over a candidate's tokens; pmi and contextual: the sum without what a text "
        "without content says of it.",
    )
    content_free: Annotated[list[Text], Field(max_length=16)] = Field(
        [], description="With pmi and contextual: texts without content. Default: the blank alone."
    )
    include_end: bool = Field(True, description="Count that the candidate ends where it does.")
    context: Context = Field("bi", description="GLM: what a token of the text sees.")
    source_tag: str | None = Field(None, description="Encoder-decoder: language tag.")
    passages: Passages | None = Field(
        None,
        description="Texts that may help, each put before the text; the probabilities that they "
        "lead to are averaged.",
    )


class ClassifyBody(ModelBody):
    """Examples of a task whose labels are to be predicted."""

    task: str | None = Field(
        None,
        description="Name of a task of the library, of one that the server was started with, or of "
        "the model's own. Default: the one that the model was tuned on.",
        examples=["sst2"],
    )
    inputs: (
        dict[str, Any] | Annotated[list[dict[str, Any]], Field(min_length=1, max_length=MOST_TEXTS)]
    ) = Field(
        description="The fields that the task needs, of one example or of several.",
        examples=[{"sentence": "a charming and often moving journey ."}],
    )
    patterns: Annotated[list[CountOrNone], Field(max_length=100)] = Field(
        [],
        description="Numbers of the task's patterns, whose probabilities are averaged. Default: "
        "those that the model was tuned with, or the task's own choice.",
    )
    layout: Layout | None = Field(
        None, description="How the model answers. Default: as it was tuned, else in a blank."
    )
    normalization: Normalization | None = Field(
        None,
        description="How candidates are compared. Default: as the model was tuned, else as the "
        "task says.",
    )
    abstain_below: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Give no label that is less probable; `predicted` is then null.",
    )


def classify_body(own: Iterable[str]) -> type[ClassifyBody]:
    """Return the body that accepts the library's tasks and those of some other names."""
    names = tuple(dict.fromkeys((*task_names(), *own)))
    described = ClassifyBody.model_fields["task"]
    task: Any = (Literal[names] | None, described)  # the files are the names
    return create_model("ClassifyBody", __base__=ClassifyBody, task=task)


class ViewBody(ModelBody):
    """A text whose tokens, positions and parts are to be seen."""

    text: Text = Field(
        description="GLM: a text with a blank. Encoder-decoder: a source.",
        examples=["The film was [MASK]."],
    )
    fills: list[list[CountOrNone]] = Field(
        [], max_length=1000, description="GLM: the token ids of the first blanks' fills."
    )
    order: list[CountOrNone] | None = Field(
        None, max_length=1000, description="GLM: order in which the blanks are filled, from 0."
    )
    answer: Text = Field("", description="Encoder-decoder: what it writes to the source.")


def _values(body: BaseModel, of: Iterable[Any]) -> dict[str, Any]:
    return {field.name: getattr(body, field.name) for field in of}
