"""`unblank compare`: finished parts stay, and the table is right."""

import json
import shutil
from pathlib import Path
from statistics import fmean, stdev

import pytest
import yaml
from comparison_toys import compare, refused, save

from unblank.comparing.run import compare as run_compare
from unblank.process import MemoryArrangement
from unblank.settings.shipped_recipes import recipe_path


@pytest.mark.slow
def test_a_comparison_runs_resumes_and_shows_means_and_deviations(recipe, capsys, pictures):
    save(recipe)
    compare("--plan")
    assert capsys.readouterr().err.count("to do") == 1 + 2 * (3 + 2)
    compare("--seeds", "0")
    assert "measure" in capsys.readouterr().out
    weights = Path("out/glm/seed-0/pretrain/model.safetensors")
    before = weights.stat().st_mtime_ns
    # A part that was cut off is done again, and nothing else.
    shutil.rmtree("out/gpt/seed-0/pretrain")
    Path("out/glm/seed-0/text.json").unlink()
    compare()
    assert weights.stat().st_mtime_ns == before
    compare("--plan")
    assert "to do" not in capsys.readouterr().err.rpartition("[1/")[2]
    table = json.loads(Path("out/table.json").read_text(encoding="utf-8"))
    values = [
        next(
            score["value"]
            for score in json.loads(Path(f"out/gpt/seed-{seed}/text.json").read_text())["scores"]
            if score["metric"] == "bits a byte"
        )
        for seed in (0, 1)
    ]
    (measure,) = (name for name in table["table"] if name.startswith("text"))
    assert table["table"][measure]["GPT"] == {
        "mean": pytest.approx(fmean(values)), "deviation": pytest.approx(stdev(values)), "seeds": 2,
    }  # fmt: skip
    (tuned,) = (name for name in table["table"] if name.startswith("mood"))
    assert set(table["table"][tuned]) == {"GLM"}
    assert Path("out/table.png").stat().st_size > 1000
    context = json.loads(Path("out/gpt/seed-0/text.json").read_text())["config"]["context"]
    assert context == ["causal"]
    for kind, name in (("evaluate", "text"), ("finetune", "mood")):
        changed = json.loads(json.dumps(recipe))
        changed[kind][name]["metrics"] = ["acuracy"]
        save(changed)
        with pytest.raises(SystemExit):
            compare()
        printed = capsys.readouterr().err
        assert f"'{name}'" in printed
        assert "'acuracy'" in printed
    recipe["pretrain"]["train"]["max_steps"] = 3
    assert "train.max_steps" in refused(recipe, capsys)
    recipe["pretrain"]["tokenizer"]["vocab_size"] = 321
    assert "vocab_size" in refused(recipe, capsys)


def test_the_memory_of_the_steps_is_given_back_after_each_part(recipe):
    recipe["finetune"], recipe["variants"] = {}, {"GLM": None}
    save(recipe)
    called = []

    class Recorder(MemoryArrangement):
        def begin_steps(self):
            called.append("begin")

        def end_steps(self):
            called.append("end")

    run_compare(Path("recipe.yaml"), seeds=(0,), log=print, memory=Recorder("recorded"))
    assert called == ["end", "begin", "end", "end"]  # the vocabulary, the model, the perplexity


@pytest.mark.slow
@pytest.mark.parametrize("name", ["multilingual_against_bilingual", "low_resource"])
def test_a_recipe_for_several_languages_runs_cut_down(name, tmp_path, monkeypatch):
    """One variant and one seed of each, with a tiny model and two steps."""
    data = tmp_path / "data"
    words = [{"eng": f"a dog {n}", "deu": f"ein hund {n}"} for n in range(30)]
    captions = [{"en": f"a dog {n}", "de": "ein hund", "fr": "x", "cs": "y"} for n in range(30)]
    for code in ("eng", "deu"):
        verses = "".join(f"GEN {n}\t{record[code]}\n" for n, record in enumerate(words))
        for folder, file in (("parallel/bible", f"{code}.tsv"), ("text_multi", f"eltec.{code}")):
            (data / folder).mkdir(parents=True, exist_ok=True)
            (data / folder / file).write_text(verses, encoding="utf-8")
    for file in ("text_multi/eltec.rom.train.jsonl", "text_multi/eltec.fra.train.jsonl"):
        (data / file).write_text(json.dumps({"text": "a small dog"}) + "\n", encoding="utf-8")
    (data / "parallel/multi30k").mkdir()
    for split in ("train", "val"):
        lines = "".join(json.dumps(record) + "\n" for record in captions)
        (data / f"parallel/multi30k/{split}.jsonl").write_text(lines, encoding="utf-8")
    monkeypatch.setenv("UNBLANK_DATA", str(data))
    monkeypatch.chdir(tmp_path)
    text = recipe_path(Path(f"recipe:{name}")).read_text(encoding="utf-8").replace(".gz", "")
    content = yaml.safe_load(text)
    content["pretrain"]["model"] |= {
        "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2
    }  # fmt: skip
    content["pretrain"]["tokenizer"]["vocab_size"] = 400
    few = {"max_steps": 2, "batch_size": 4, "micro_batch_size": 4}
    content["pretrain"]["train"] |= few
    for tuning in content["finetune"].values():
        tuning["train"] = {"max_steps": 2, "batch_tokens": 256, "metric": "bleu"}
        tuning["generation"] = {"max_tokens": 3}
    if name == "low_resource":
        for share in ("10", "20"):
            del content["finetune"][f"{share} % of the pairs"]
    save(content)
    variant = content["variants"].popitem()[0]
    compare("--variants", variant, "--seeds", "0")
    table = json.loads(next(tmp_path.glob("runs/*/table.json")).read_text(encoding="utf-8"))
    assert len(table["table"]) == len(content["finetune"])
    assert all(set(row) == {variant} for row in table["table"].values())


@pytest.mark.slow
def test_a_finished_model_is_tuned_in_several_ways(recipe, tmp_path, capsys):
    save(recipe)
    compare("--variants", "GLM", "--seeds", "0")
    given = {
        "output_dir": "ways",
        "seeds": [0, 1],
        "model": "out/glm/seed-0/pretrain",
        "finetune": recipe["finetune"],
        "variants": {"cloze": None, "head": {"measure": {"mood": {"method": "classifier"}}}},
    }
    save(given)
    compare()
    table = json.loads(Path("ways/table.json").read_text(encoding="utf-8"))
    (row,) = table["table"].values()
    assert {name: cell["seeds"] for name, cell in row.items()} == {"cloze": 2, "head": 2}
    assert not list(Path("ways").glob("**/pretrain"))
    compare("--plan")
    assert "to do" not in capsys.readouterr().err.rpartition("[1/")[2]
    given["variants"]["head"]["change"] = {"train": {"max_steps": 3}}
    assert "nothing is pretrained" in refused(given, capsys)
