"""The family ELECTRA: a baseline encoder that judges tokens and writes nothing."""

from transformers import PreTrainedModel

from unblank.families.electra_unit import ElectraUnit
from unblank.families.family import Family, UsualVocabulary
from unblank.families.infilling import (
    INFILLING_LORA_TARGETS,
    infilling_objective,
    infilling_shares,
    new_infilling_fields,
)
from unblank.families.rows import PACKED
from unblank.families.settings import FamilySections
from unblank.models.electra import ElectraInfillForPreTraining
from unblank.models.electra.presets import ELECTRA_PRESETS
from unblank.tokenization.special import special_ids

__all__ = ["ELECTRA"]


def _require_masked(sections: FamilySections) -> None:
    weights = sections.objective.weights()
    if weights != {name: float(name == "masked") for name in weights}:
        raise ValueError(
            "ELECTRA trains with the objective masked alone: give --objective.masked 1 "
            "--objective.token 0, and no other objective"
        )


def _unit(
    model: PreTrainedModel,
    sections: FamilySections,
    *,
    seed: int,
    label_smoothing: float = 0.0,
    sampled_softmax: int = 0,
) -> ElectraUnit:
    return ElectraUnit(seed, sections.electra)


ELECTRA = Family(
    name="electra",
    presets=ELECTRA_PRESETS,
    pretraining_class=ElectraInfillForPreTraining,
    generating_class=None,
    writes="nothing",
    stopping=None,
    lora_targets=INFILLING_LORA_TARGETS,
    gives_encoder=True,
    special_ids=special_ids,
    vocabulary=UsualVocabulary(kind="wordpiece"),
    applies=frozenset({"objective", "electra", "train.first_attention"}),
    check_sections=_require_masked,
    text_objective=infilling_objective,
    objective_shares=infilling_shares,
    rows=PACKED,
    unit=_unit,
    new_fields=new_infilling_fields,
)
"""The entry of `unblank.families.table`."""
