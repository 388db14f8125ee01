"""Settings of a pretraining run that the family of its model does not use are refused."""

from unblank.families.family import Family, OptionalSetting
from unblank.families.settings import FamilySections
from unblank.pretraining.settings import PretrainDataSettings, PretrainTrainSettings

__all__ = ["refuse_foreign_settings"]

_SECTIONS = ("objective", "seq2seq", "ganlm")


def refuse_foreign_settings(
    family: Family,
    *,
    data: PretrainDataSettings,
    sections: FamilySections,
    train: PretrainTrainSettings,
) -> None:
    """Raise ValueError if a setting of the run does not apply to the family.

    Args:
        family: of the model.
        data: the `data` section.
        sections: the sections that belong to some families.
        train: the `train` section.
    """
    family.check_sections(sections)
    has_tags = sections.seq2seq.denoising or sections.seq2seq.mass
    if "data.languages" in family.applies and data.languages and not has_tags:
        raise ValueError(
            "data.languages is for denoising and MASS, span corruption has no tags of languages: "
            "leave it out, or set --seq2seq.denoising 1 --seq2seq.span_corruption 0 (mBART)"
        )
    for name, is_given in _given(data, sections, train).items():
        if is_given and name not in family.applies:
            shown = f"the section {name}" if name in _SECTIONS else name
            raise ValueError(
                f"{shown} does not apply to a model of the family {family.name}: leave it out, or "
                "choose a model.preset of the family that you mean (deltalm-..., ganlm-..., or a "
                "GLM's)"
            )


def _given(
    data: PretrainDataSettings, sections: FamilySections, train: PretrainTrainSettings
) -> dict[OptionalSetting, bool]:
    """Return every setting that applies to some families only, and whether it is set."""
    usual = FamilySections()
    return {
        "objective": sections.objective != usual.objective,
        "seq2seq": sections.seq2seq != usual.seq2seq,
        "ganlm": sections.ganlm != usual.ganlm,
        "data.pairs": bool(data.pairs or data.validation_pairs),
        "data.languages": data.languages is not None,
        "train.sample_every": train.sample_every > 0,
        "train.compile": train.compile,
        "train.sampled_softmax": train.sampled_softmax > 0,
    }
