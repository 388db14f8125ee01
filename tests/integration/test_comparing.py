"""`unblank compare`: finished parts stay, and the table is right."""

import json
import shutil
from pathlib import Path
from statistics import fmean, stdev

import pytest
from comparison_toys import compare, refused, save

from unblank.comparing.run import compare as run_compare
from unblank.process import MemoryArrangement


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
