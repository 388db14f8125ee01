"""Settings of a run that do not apply to the family of its model are refused."""

from unblank.families.family import Family, OptionalSetting
from unblank.families.settings import GanLMSettings
from unblank.objectives.seq2seq_settings import Seq2SeqSettings
from unblank.objectives.settings import ObjectiveSettings
from unblank.pretraining.settings import PretrainSettings

__all__ = ["refuse_foreign_settings"]

_SECTIONS = ("objective", "seq2seq", "ganlm")


def refuse_foreign_settings(config: PretrainSettings, family: Family) -> None:
    """Raise ValueError if a setting of the run does not apply to its family."""
    family.check_sections(config.sections)
    if "data.languages" in family.applies:
        _require_tags_of_use(config)
    for name, is_given in _given(config).items():
        if is_given and name not in family.applies:
            shown = f"the section {name}" if name in _SECTIONS else name
            raise ValueError(
                f"{shown} does not apply to a model of the family {family.name}: take it out, or "
                "choose a model.preset of the family that you mean (deltalm-..., ganlm-..., or a "
                "GLM's)"
            )


def _given(config: PretrainSettings) -> dict[OptionalSetting, bool]:
    """Return every setting that applies to some families only, and whether it is set."""
    return {
        "objective": config.objective != ObjectiveSettings(),
        "seq2seq": config.seq2seq != Seq2SeqSettings(),
        "ganlm": config.ganlm != GanLMSettings(),
        "data.pairs": bool(config.data.pairs or config.data.validation_pairs),
        "data.languages": config.data.languages is not None,
        "train.sample_every": config.train.sample_every > 0,
        "train.compile": config.train.compile,
        "train.sampled_softmax": config.train.sampled_softmax > 0,
    }


def _require_tags_of_use(config: PretrainSettings) -> None:
    if config.data.languages and not config.seq2seq.denoising + config.seq2seq.mass:
        raise ValueError(
            "data.languages is for denoising and MASS, span corruption has no tags of languages: "
            "take it out, or set --seq2seq.denoising 1 --seq2seq.span_corruption 0 (mBART)"
        )
