"""A tokenizer that puts the special tokens of a tuned model around texts by itself.

For programs that know nothing of this library and encode as `tokenizer(text)` does, transformers'
pipelines among them. The library adds these tokens itself and asks tokenizers for none.
"""

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["Frame", "Truncation", "frame_in", "framed", "unframe"]

_SETTING = "text_frame"
"""Field of `tokenizer_config.json` with what a tokenizer was given; see `Frame`."""
_REPLACED = "text_frame_replaces"
"""Field with the post-processor that the tokenizer had before, as in `tokenizer.json`."""

Truncation = Literal["only_first", "only_second"]
"""Which text gives way in a row that is too long, as transformers calls it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What a model reads.

    Attributes:
        texts: the one or two texts of a row, with the `{field}`s that are in them.
        truncation: the text that is cut in a row that is too long; None if cutting tokens is not
            what the task asks for.
        side: the end at which it is cut.
    """

    texts: tuple[str, ...]
    truncation: Truncation | None = None
    side: Literal["left", "right"] = "right"


def framed(
    tokenizer: "PreTrainedTokenizerFast",
    frame: Frame,
    *,
    start: Sequence[int],
    between: Sequence[int],
    end: Sequence[int],
    max_length: int | None = None,
    is_plain: bool,
) -> "PreTrainedTokenizerFast":
    """Return a copy that makes the rows that a model reads.

    Args:
        tokenizer: that adds nothing, or what it adds is replaced.
        frame: what is read.
        start: ids before the first text.
        between: ids between two texts.
        end: ids after the last one.
        max_length: tokens to which a row is cut where truncation is asked for; None for what the
            tokenizer has.
        is_plain: whether special tokens in texts are read as text.
    """
    from tokenizers.processors import TemplateProcessing

    made = deepcopy(tokenizer)
    parts = {"start": start, "between": between, "end": end}
    made.backend_tokenizer.post_processor = TemplateProcessing(
        single=["start", "$A", "end"],
        pair=["start", "$A", "between", "$B", "end"],
        special_tokens=[
            {"id": name, "ids": list(ids), "tokens": made.convert_ids_to_tokens(list(ids))}
            for name, ids in parts.items()
        ],
    )
    if max_length is not None:
        made.model_max_length = max_length
    _set(made, split_special_tokens=is_plain, truncation_side=frame.side)
    made.init_kwargs[_SETTING] = asdict(frame)
    made.init_kwargs[_REPLACED] = json.loads(tokenizer.backend_tokenizer.to_str())["post_processor"]
    return made


def frame_in(settings: Mapping[str, Any]) -> Frame | None:
    """Return the frame that a `tokenizer_config.json` tells of; None if it has none."""
    given = settings.get(_SETTING)
    if not isinstance(given, Mapping) or given.keys() != {one.name for one in fields(Frame)}:
        return None
    return Frame(texts=tuple(given["texts"]), truncation=given["truncation"], side=given["side"])


def unframe(tokenizer: "PreTrainedTokenizerFast") -> None:
    """Take from a tokenizer what `framed` gave it; any other is left as it is.

    It is then what it was before, to the letter, as prepared text is found by its content.
    """
    from tokenizers import Tokenizer
    from transformers.tokenization_utils_base import VERY_LARGE_INTEGER

    replaced = tokenizer.init_kwargs.pop(_REPLACED, None)
    if tokenizer.init_kwargs.pop(_SETTING, None) is None:
        return
    core = tokenizer.backend_tokenizer
    before = json.loads(core.to_str()) | {"post_processor": replaced}
    try:
        core.post_processor = Tokenizer.from_str(json.dumps(before)).post_processor
    except Exception as error:  # tokenizers has no type of its own
        raise ValueError(f"{_REPLACED} in tokenizer_config.json is damaged: {error}") from error
    tokenizer.model_max_length = VERY_LARGE_INTEGER
    _set(tokenizer, split_special_tokens=False, truncation_side="right")


def _set(tokenizer: "PreTrainedTokenizerFast", **settings: Any) -> None:
    """Set attributes so that they are saved, too."""
    for name, value in settings.items():
        setattr(tokenizer, name, value)
    tokenizer.init_kwargs.update(settings)
