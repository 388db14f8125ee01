"""Which model family a run trains, and which settings belong to another one."""

import json
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from unblank.families.settings import GanLMSettings, ModelSettings
from unblank.models.deltalm.presets import PRESETS as DELTALM_PRESETS
from unblank.models.electra.presets import PRESETS as ELECTRA_PRESETS
from unblank.models.ganlm.presets import PRESETS as GANLM_PRESETS
from unblank.models.glm.presets import PRESETS as GLM_PRESETS
from unblank.objectives.seq2seq_settings import Seq2SeqSettings
from unblank.objectives.settings import ObjectiveSettings
from unblank.pretraining.settings import PretrainSettings

__all__ = [
    "ENCODER_DECODERS",
    "ModelFamily",
    "family_of",
    "preset_vocab_size",
    "refuse_foreign_settings",
]

ModelFamily = Literal["glm", "electra", "deltalm", "ganlm"]

ENCODER_DECODERS: tuple[ModelFamily, ...] = ("deltalm", "ganlm")
"""Families whose samples have a source and a target."""

_PRESETS: dict[ModelFamily, dict[str, dict[str, object]]] = {
    "glm": GLM_PRESETS,
    "electra": ELECTRA_PRESETS,
    "deltalm": DELTALM_PRESETS,
    "ganlm": GANLM_PRESETS,
}
_MODEL_TYPES: dict[str, ModelFamily] = {
    "glm_infill": "glm",
    "electra_infill": "electra",
    "deltalm": "deltalm",
    "ganlm": "ganlm",
}

_ONLY_MASKED = {"token": 0.0, "sentence": 0.0, "document": 0.0, "masked": 1.0, "causal": 0.0}


def family_of(settings: ModelSettings, checkpoint: Path | None = None) -> ModelFamily:
    """Return the family of the model that is continued, else of the one to be made.

    Args:
        settings: the `model` section.
        checkpoint: the checkpoint that the run continues, if it does.

    Raises:
        ValueError: if the preset is unknown, or the folder holds something else.
        FileNotFoundError: if `init_from` is not a model folder.
    """
    folder = checkpoint or settings.init_from
    if folder is not None:
        return _family_in(folder)
    if settings.init_from_encoder is not None:
        if settings.preset.lower().startswith(("ganlm", "electra")):
            raise ValueError(
                f"model.init_from_encoder makes a DeltaLM; {settings.preset} starts from its "
                "preset, or with init_from from a model of its own family"
            )
        return "deltalm"
    key = settings.preset.lower()
    for family, presets in _PRESETS.items():
        if key in presets:
            return family
    names = [name for presets in _PRESETS.values() for name in presets]
    near = get_close_matches(key, names, n=3) or names
    raise ValueError(f"unknown preset {settings.preset!r}: did you mean {', '.join(near)}?")


def preset_vocab_size(settings: ModelSettings) -> int:
    """Return the tokens of the vocabulary that belongs to the preset, or 30,592 without one."""
    for presets in _PRESETS.values():
        fields = presets.get(settings.preset.lower())
        if fields is not None:
            size = fields.get("vocab_size", 250104)
            assert isinstance(size, int)
            return size
    return 30592


def refuse_foreign_settings(config: PretrainSettings, family: ModelFamily) -> None:
    """Raise ValueError if a setting of the run does not apply to its family."""
    is_pair = family in ENCODER_DECODERS
    foreign = {
        "the section seq2seq": not is_pair and config.seq2seq != Seq2SeqSettings(),
        "the section objective": is_pair and config.objective != ObjectiveSettings(),
        "the section ganlm": family != "ganlm" and config.ganlm != GanLMSettings(),
        "data.pairs": not is_pair and bool(config.data.pairs or config.data.validation_pairs),
        "data.languages": not is_pair and config.data.languages is not None,
        "train.sample_every": family == "electra" and config.train.sample_every > 0,
        "train.compile": family != "glm" and config.train.compile,
        "train.sampled_softmax": family in ("electra", "ganlm")
        and config.train.sampled_softmax > 0,
    }
    if family == "electra" and config.objective.weights() != _ONLY_MASKED:
        raise ValueError(
            "ELECTRA corrupts what the objective masked hides: give --objective.masked 1 "
            "--objective.token 0, and no other objective"
        )
    if config.ganlm.discriminator_reads == "sentence":
        _require_spans(config.seq2seq)
    if is_pair and config.data.languages and not config.seq2seq.denoising + config.seq2seq.mass:
        raise ValueError(
            "data.languages is for denoising and MASS, span corruption has no tags of languages: "
            "take it out, or set --seq2seq.denoising 1 --seq2seq.span_corruption 0 (mBART)"
        )
    for name, is_set in foreign.items():
        if is_set:
            raise ValueError(
                f"{name} does not apply to a model of the family {family}: take it out, or choose "
                "a model.preset of the family that you mean (deltalm-..., ganlm-..., or a GLM's)"
            )


def _require_spans(seq2seq: Seq2SeqSettings) -> None:
    """Raise ValueError unless a sentence can be put together from every source and target."""
    unfit = ("denoising", "mass", "remove_source_sentinels", "remove_target_sentinels")
    for name in (*unfit, "end_token", "closing_sentinel"):
        if getattr(seq2seq, name):
            raise ValueError(
                f"ganlm.discriminator_reads sentence and seq2seq.{name} exclude one another: the "
                "sentence is put together from spans, each behind its sentinel; drop one"
            )


def _family_in(folder: Path) -> ModelFamily:
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder} to take a model from")
    path = folder / "config.json"
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is no model folder: it has no config.json")
    model_type = json.loads(path.read_text(encoding="utf-8")).get("model_type")
    if model_type not in _MODEL_TYPES:
        raise ValueError(
            f"{folder} holds a model of type {model_type!r}: allowed are "
            f"{', '.join(_MODEL_TYPES)}; an encoder is given as model.init_from_encoder"
        )
    return _MODEL_TYPES[model_type]
