"""The recipes of the papers: each is short, loads, and runs two steps with a tiny model."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from unblank.finetuning.run import run_finetune
from unblank.finetuning.settings import FinetuneSettings
from unblank.settings.recipes import read_settings

RECIPES = [
    path
    for path in sorted((Path(__file__).parents[3] / "recipes" / "finetune").glob("*.yaml"))
    if read_settings(FinetuneSettings, path).task == "seq2seq"
]
LIKE_OTHERS = {
    "deltalm_webnlg_en", "deltalm_webnlg_ru", "deltalm_wmt10_from_en", "deltalm_xgiga_fr",
    "ganlm_cnndm", "ganlm_flores", "ganlm_iwslt17_en_de", "ganlm_webnlg_ru", "ganlm_wikilingua",
    "ganlm_wmt10_from_en", "ganlm_wmt10_to_en", "ganlm_wmt14_en_fr", "ganlm_wmt16_en_ro",
    "multiglm_ncls", "multiglm_scitldr", "multiglm_wikilingua", "multiglm_xwikis",
}  # fmt: skip
"""Recipes whose settings others, which are run, have as well, with other data and numbers."""
PRESETS = {"deltalm": "deltalm-tiny", "ganlm": "ganlm-tiny", "glm": "tiny", "multiglm": "tiny"}
FIELDS = {
    "passage": "de", "answer": "de", "article": "en", "document": "en", "title": "en", "text": "en",
    "source": "en", "english": "de", "en-summary": "de", "summary": "de",
}  # fmt: skip


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_are_short_and_load(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 40
    assert read_settings(FinetuneSettings, path).seq2seq


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=[pytest.mark.slow] * (path.stem in LIKE_OTHERS))
        for path in RECIPES
    ],
)
def test_a_recipe_runs_two_steps(path, pairs_config, pair_folder, tmp_path):
    recipe, tiny = read_settings(FinetuneSettings, path), pairs_config()
    preset = PRESETS[path.stem.partition("_")[0]]
    model = replace(tiny.model, preset=preset, num_hidden_layers=2)
    records = [
        {"de": pair["de"], "en": pair["en"], **{name: pair[to] for name, to in FIELDS.items()}}
        for pair in map(json.loads, (pair_folder / "train.jsonl").read_text().splitlines()[:20])
    ]
    names = recipe.data.lines
    text = "\n".join(map(json.dumps, records))
    lines = "\n".join(record[name] for record in records for name in names)

    def copies(name: str, content: str, entries: Sequence[str]) -> tuple[str, ...]:
        files = [tmp_path / f"{number}.{name}" for number in range(len(entries))]
        for file in files:
            file.write_text(content, encoding="utf-8")
        # A source of an entry's own and its languages stay; those of many files are here one.
        ends = [re.search(r"(:\{.*)?(@[a-z{}-]+)?$", entry)[0] for entry in entries]
        return tuple(
            f"{file}{end}".replace("{lang}", "de") for file, end in zip(files, ends, strict=True)
        )

    data = recipe.data
    source = data.source if "{" in data.source else "en"
    ending = "txt" if names else "jsonl"
    data = replace(
        data,
        train=copies(f"train.{ending}", lines or text, data.train),
        validation=copies(f"validation.{ending}", lines or text, data.validation),
        source=source,
        target=data.target if names else "de",
        monolingual=copies("txt", (pair_folder / "plain.txt").read_text(), data.monolingual),
        text_unit="line",
    )
    seq2seq = replace(recipe.seq2seq, max_source_length=64, max_target_length=12)
    generation = replace(recipe.generation, num_beams=1, length_penalty=1.0, min_tokens=0)
    config = replace(
        recipe,
        model=model,
        tokenizer=replace(tiny.tokenizer, extra_tokens=recipe.tokenizer.extra_tokens),
        data=data,
        seq2seq=seq2seq,
        generation=replace(generation, max_tokens=4),
        train=replace(
            recipe.train,
            output_dir=tmp_path / "run",
            max_steps=2,
            validate_every=1,
            validation_samples=4,
            batch_tokens=256,
            micro_batch_tokens=None,
            precision="fp32",
        ),
    )
    folder = run_finetune(config)
    results = json.loads((folder / "results.json").read_text())
    assert results["steps"] == 2
    assert recipe.train.metric in (None, *results["scores"])
