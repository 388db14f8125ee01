"""Settings that a fine-tuning run does not use are refused, or named where a recipe may hold them.

Also numbers of answers that no machine has room for, and sources that would all be the same text.
"""

import re
import warnings
from pathlib import Path

import pytest

from unblank.calibrating.settings import CalibrateSettings
from unblank.commands.generate_settings import GenerateSettings
from unblank.evaluation.task_options import QuestionsOptions
from unblank.evaluation.writing_options import WritingOptions
from unblank.finetuning.pairs.entries import unused_of_entries
from unblank.finetuning.pairs.text import read_text_pairs
from unblank.finetuning.requirements import require_possible_method
from unblank.finetuning.settings import (
    FinetuneDataSettings,
    FinetuneModelSettings,
    FinetuneSettings,
    GenerationSettings,
)
from unblank.generation.options import DecodingOptions, GenerationOptions

MEASURED = FinetuneSettings(
    method="none",
    model=FinetuneModelSettings(preset="deltalm-tiny"),
    data=FinetuneDataSettings(validation=("held_out.jsonl",)),
)


@pytest.mark.parametrize(
    "given", [["optim.learning_rate"], ["train.max_steps", "optim.schedule"], ["train.final"]]
)
def test_a_measurement_names_what_only_a_training_uses(given):
    with pytest.warns(UserWarning, match=".*".join(["method none", *sorted(given), "no effect"])):
        require_possible_method(MEASURED, given)


def test_a_measurement_uses_how_answers_are_decoded_and_what_is_measured():
    with warnings.catch_warnings(action="error"):
        require_possible_method(
            MEASURED, ["generation.num_beams", "train.validation_samples", "train.output_dir"]
        )


@pytest.mark.parametrize(
    ("train", "validation", "is_unused"),
    [
        (["a.en:a.de"], [], True),
        (["a.jsonl:en:de"], ["b.en:b.de@en-de"], True),
        (["https://host:80/a.jsonl:en:de"], [], True),
        (["a.en:a.de", "b.jsonl"], [], False),
        (["a.en:a.de"], ["b.jsonl@en-de"], False),
    ],
)
def test_fields_that_no_entry_reads_are_unused(train, validation, is_unused):
    data = FinetuneDataSettings(train=tuple(train), validation=tuple(validation))
    assert ({*unused_of_entries(data)} == {"data.source", "data.target"}) == is_unused


@pytest.mark.parametrize("source", ["{hint:summary}", "{hint:summary}: ", "a {hint:headline}"])
def test_a_hint_alone_is_no_name_of_a_field(source, tmp_path):
    with pytest.raises(ValueError, match=f"{re.escape(source)}.* no field"):
        GenerateSettings(
            model="m", text=(), input=tmp_path / "a.jsonl", source=source, target_language="de"
        )
    (tmp_path / "a.jsonl").write_text('{"text": "a", "target": "b"}\n')
    with pytest.raises(ValueError, match=f"{re.escape(source)}.* no field"):
        read_text_pairs(str(tmp_path / "a.jsonl"), source, "target", languages=("en", "de"))


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        (DecodingOptions, {}),
        (GenerationOptions, {}),
        (GenerationSettings, {}),
        (QuestionsOptions, {"model": "m", "suite": "xquad"}),
        (WritingOptions, {"model": "m", "suite": "headlines"}),
        (CalibrateSettings, {"model": "m", "data": Path("d"), "kind": "fills"}),
    ],
)
def test_beams_have_an_upper_bound(kind, more):
    with pytest.raises(ValueError, match=r"num_beams is 1001.*1,000"):
        kind(num_beams=1001, **more)


def test_drawn_answers_have_an_upper_bound():
    with pytest.raises(ValueError, match=r"num_return is 10001.*10,000"):
        DecodingOptions(do_sample=True, num_return=10_001)
