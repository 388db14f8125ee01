"""`unblank compare`: finished parts stay, and the table is right."""

import json
import shutil
from pathlib import Path
from statistics import fmean, stdev

import pytest
import yaml

from unblank.cli import main
from unblank.comparing.run import compare as run_compare
from unblank.process import MemoryArrangement


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "It rained all day, and the old dog slept near the warm stove. "
    Path("text.txt").write_text(text * 60, encoding="utf-8")
    moods = [{"sentence": text, "label": n % 2} for n in range(8)]
    Path("moods.jsonl").write_text("".join(json.dumps(m) + "\n" for m in moods), encoding="utf-8")
    return {
        "output_dir": "out",
        "seeds": [0, 1],
        "pretrain": {
            "model": {
                "preset": "tiny", "hidden_size": 32, "num_hidden_layers": 1,
                "num_attention_heads": 2,
            },
            "tokenizer": {"kind": "bpe", "vocab_size": 300, "num_sentinels": 20},
            "data": {"train": ["text.txt"], "max_length": 64},
            "train": {
                "max_steps": 2, "batch_size": 2, "micro_batch_size": 2, "validate_every": 0,
                "device": "cpu", "arrange_memory": False,
            },
        },
        "variants": {
            "GLM": None,
            "GPT": {
                "change": {"objective": {"token": 0, "causal": 1}},
                "measure": {"text": {"context": ["causal"]}},
                "without": ["mood"],
            },
        },
        "evaluate": {
            "text": {
                "suite": "perplexity", "file": ["text.txt"], "metrics": ["bits a byte"],
                "window": 32,
            }
        },
        "finetune": {
            "mood": {
                "task": "sst2",
                "data": {"train": ["moods.jsonl"], "validation": ["moods.jsonl"]},
                "train": {"max_steps": 2, "batch_size": 4, "validate_every": 1},
            }
        },
    }  # fmt: skip


def save(recipe):
    Path("recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    return Path("recipe.yaml")


def compare(*words):
    main(["compare", "recipe.yaml", "--no-arrange-memory", *words])


def refused(recipe, capsys):
    save(recipe)
    with pytest.raises(SystemExit):
        compare("--plan")
    return capsys.readouterr().err


@pytest.mark.slow
def test_a_comparison_runs_resumes_and_shows_means_and_deviations(recipe, capsys):
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

    run_compare(Path("recipe.yaml"), seeds=(0,), tell=print, memory=Recorder("recorded"))
    assert called == ["end", "begin", "end", "end"]  # the vocabulary, the model, the perplexity
