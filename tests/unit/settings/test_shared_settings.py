"""What pretraining and fine-tuning both have is declared once, in a class that both inherit."""

from dataclasses import fields
from inspect import get_annotations
from typing import get_type_hints

from unblank.finetuning.settings import FinetuneSettings
from unblank.pretraining.settings import PretrainSettings


def declaring_classes(section, name):
    """Return the classes of a section's family tree that declare a setting themselves."""
    return {one for one in section.__mro__ if name in get_annotations(one)}


def test_a_setting_of_both_trainings_is_declared_where_both_inherit_it():
    pretraining, finetuning = get_type_hints(PretrainSettings), get_type_hints(FinetuneSettings)
    compared, apart = 0, []
    for section in set(pretraining) & set(finetuning):
        pair = pretraining[section], finetuning[section]
        names = [{field.name for field in fields(one)} for one in pair]
        for name in names[0] & names[1]:
            compared += 1
            if not set.intersection(*(declaring_classes(one, name) for one in pair)):
                apart.append(f"{section}.{name}")
    assert compared > 50
    assert not apart
