"""The family GLM: blanks of a text, filled after it in packed rows."""

import numpy as np

from unblank.examples import Example, IntArray
from unblank.families.decoding import GLM_STOPPING
from unblank.families.family import Classifier, Family, UsualVocabulary
from unblank.families.infilling import (
    INFILLING_LORA_TARGETS,
    infilling_objective,
    infilling_shares,
    new_infilling_fields,
)
from unblank.families.rows import PACKED
from unblank.models.glm import (
    GlmInfillForConditionalGeneration,
    GlmInfillForSequenceClassification,
)
from unblank.models.glm.presets import GLM_PRESETS
from unblank.objectives.source_target import glm_fills, glm_pair
from unblank.tokenization.kinds import TokenizerKind
from unblank.tokenization.special import SpecialIds, special_ids

__all__ = ["GLM"]

_PUBLISHED_KINDS: dict[str, TokenizerKind] = {
    "roberta": "bpe",
    "2b": "bpe",
    "10b": "bpe",
    "chinese-large": "unigram",
    "multiglm-1b": "unigram",
}
"""Presets that were published with a tokenizer other than BERT's."""


def _pair(source: IntArray, target: IntArray, special: SpecialIds) -> Example:
    blanks = np.flatnonzero(np.isin(source, special.blanks))
    if len(blanks) == 1:
        return glm_pair(source, int(blanks[0]), target, special)
    ends = np.flatnonzero(target == special.eop)
    answers = [part[part != special.eop] for part in np.split(target, ends)]
    return glm_fills(source, blanks.tolist(), answers, special)


def _between(special: SpecialIds) -> tuple[int, ...]:
    return (special.sep,)


GLM = Family(
    name="glm",
    presets=GLM_PRESETS,
    pretraining_class=GlmInfillForConditionalGeneration,
    generating_class=GlmInfillForConditionalGeneration,
    writes="blanks",
    stopping=GLM_STOPPING,
    classifier=Classifier(
        model_class=GlmInfillForSequenceClassification,
        between=_between,
        starts_new=True,
        pooled_field="classifier_pooled",
    ),
    lora_targets=INFILLING_LORA_TARGETS,
    gives_encoder=True,
    takes_prompts=True,
    special_ids=special_ids,
    vocabulary=UsualVocabulary(kind="wordpiece", kinds=_PUBLISHED_KINDS),
    applies=frozenset(
        {
            "objective",
            "train.sample_every",
            "train.compile",
            "train.first_attention",
            "train.sampled_softmax",
        }
    ),
    text_objective=infilling_objective,
    objective_shares=infilling_shares,
    pair_example=_pair,
    rows=PACKED,
    new_fields=new_infilling_fields,
)
"""The entry of `unblank.families.table`."""
