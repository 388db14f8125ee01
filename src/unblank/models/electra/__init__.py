"""ELECTRA on this library's encoder: it tells which tokens a small generator has replaced."""

from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, AutoModelForPreTraining

from unblank.models.electra.configuration import ElectraInfillConfig
from unblank.models.electra.masked import ElectraInfillForMaskedLM
from unblank.models.electra.modeling import (
    ElectraInfillForPreTraining,
    ElectraInfillModel,
    ElectraOutput,
)
from unblank.models.electra.presets import ELECTRA_PRESETS, electra_config

__all__ = [
    "ELECTRA_PRESETS",
    "ElectraInfillConfig",
    "ElectraInfillForMaskedLM",
    "ElectraInfillForPreTraining",
    "ElectraInfillModel",
    "ElectraOutput",
    "electra_config",
]

AutoConfig.register("electra_infill", ElectraInfillConfig)
AutoModel.register(ElectraInfillConfig, ElectraInfillModel)
AutoModelForMaskedLM.register(ElectraInfillConfig, ElectraInfillForMaskedLM)
AutoModelForPreTraining.register(ElectraInfillConfig, ElectraInfillForPreTraining)
