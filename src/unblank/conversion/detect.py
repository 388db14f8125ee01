"""The family of a checkpoint, found in the keys and shapes of its weights.

File names and folder names say nothing here: published files are renamed too often.
"""

import re
from dataclasses import dataclass

from unblank.conversion.source import Source
from unblank.families.table import family_of_model_type

__all__ = ["Detection", "detect_family"]

_SHOWN_KEYS = 3


@dataclass(frozen=True, slots=True)
class Detection:
    """What a checkpoint is.

    Attributes:
        family: name of the converter, a value of `--family`.
        evidence: what tells so, as lines for the user.
    """

    family: str
    evidence: tuple[str, ...]


_SIGNS: tuple[tuple[str, str, str], ...] = (
    ("ganlm", r"(encoder\.discriminator|decoder\.(generator|discriminator))\.", "three stacks"),
    ("deltalm", r"(src|tgt)_embedding\.", "separate embedding modules of source and target"),
    ("deltalm", r"decoder\.layers\.\d+\.(ffn_1|fc3)\.", "two feed-forward layers a decoder layer"),
    ("multiglm", r"mixins\.block_position_embedding\.", "block positions in a mixin"),
    ("multiglm", r"transformer\.word_embeddings\.weight$", "word table inside the transformer"),
    (
        "glm",
        r"transformer\.layers\.\d+\.attention\.query_key_value\.",
        "joined queries, keys, values",
    ),
    ("xlmr", r"((encoder|decoder)\.)?sentence_encoder\.layers\.", "a fairseq RoBERTa encoder"),
    (
        "xlmr",
        r"(roberta\.|bert\.)?encoder\.layer\.\d+\.attention\.self\.",
        "a transformers encoder",
    ),
)
"""Family, a pattern that some key begins with, and what it shows; the first that matches
decides."""

_SAME_KEYS_LARGER_TABLE = {"glm": "multiglm"}
"""Family -> another one whose older layout has the same keys."""

_PREFIX = re.compile(r"(module\.|model\.|glm\.)*")
_MULTILINGUAL_ROWS = 100_000
"""No GLM vocabulary is larger; MultiGLM's has 250112 rows."""


def detect_family(source: Source) -> Detection:
    """Return the family whose keys the checkpoint has.

    Raises:
        ValueError: none fits.
    """
    model_type = (source.settings or {}).get("model_type")
    if family_of_model_type(model_type) is not None:
        raise ValueError(
            f"{source.path} is already a model folder of this library ({model_type}): use it as it "
            "is, or check it with unblank convert --verify"
        )
    shapes = {key: tuple(tensor.shape) for key, tensor in source.state_dicts[0].items()}
    names = {_PREFIX.sub("", key, count=1): key for key in shapes}
    for family, pattern, meaning in _SIGNS:
        fitting = [key for name, key in names.items() if re.match(pattern, name)]
        if fitting:
            lines = (*source.evidence, f"{meaning}: {len(fitting)} keys like {fitting[0]}")
            rows = shapes.get(names.get("word_embeddings.weight", ""), (0,))[0]
            larger = _SAME_KEYS_LARGER_TABLE.get(family)
            if larger is None:
                return Detection(family, lines)
            if rows * len(source.state_dicts) > _MULTILINGUAL_ROWS:
                return Detection(larger, (*lines, f"a table of {rows} rows, as only MultiGLM has"))
            older = "MultiGLM's older layout has the same keys and a larger table"
            return Detection(family, (*lines, older))
    raise ValueError(
        f"{source.path} belongs to no supported family (GLM, MultiGLM, DeltaLM, GanLM, "
        f"XLM-R/InfoXLM): its keys begin like {', '.join(sorted(names)[:_SHOWN_KEYS])}. If you "
        "know the family, give --family"
    )
