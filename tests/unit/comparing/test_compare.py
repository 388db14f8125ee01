"""A comparison before it is run: recipes are checked whole, the table has its gaps."""

import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest
from comparison_toys import refused, save

from unblank.cli import main
from unblank.comparing.recipe_files import load_comparison
from unblank.comparing.report import Cell, comparison_json, draw_plot, to_markdown
from unblank.comparing.run import cells, compare
from unblank.evaluation.results import Score, plain

RECIPES = sorted((Path(__file__).parents[3] / "recipes" / "compare").glob("*.yaml"))


def test_a_recipe_is_checked_before_anything_is_trained(recipe, capsys):
    good = json.dumps(recipe)
    for change, message in [
        ({"variant": {}}, "'variant'"),
        ({"variants": {"GLM": {"chang": {}}}}, "'chang' in variant GLM"),
        ({"variants": {"GLM": {"without": ["texts"]}}}, "'texts'"),
        ({"variants": {"GLM": {"measure": {"tex": {}}}}}, "'tex'"),
        ({"variants": {"GLM": {"measure": {"text": {"context": ["up"]}}}}}, "bi, uni"),
        ({"variants": {"GLM": {"change": {"objektive": {}}}}}, "'objektive'"),
        ({"variants": {"GLM": None, "glm!": None}}, "['glm', 'glm']"),
        ({"evaluate": {"text": {"suite": "lambda"}}}, "did you mean 'lambada'"),
        (
            {"evaluate": {"text": {"context": ["bi", "uni"], "suite": "lambada"}}},
            "evaluate text: give one context",
        ),
        (
            {"evaluate": {"text": {"by": ["blanks", "causal"], "suite": "blimp"}}},
            "evaluate text: give one by",
        ),
        ({"finetune": {"mood": {"tusk": "sst2"}}}, "'tusk'"),
        ({"seeds": "0"}, "seeds must be"),
        ({"seeds": [0, 1, 0]}, "[0, 1, 0]"),
        ({"evaluate": {"text": {"suite": "lambada", "output": "x.json"}}}, "sets output"),
        ({"finetune": {"mood": {"task": "sst2", "grid": {}}}}, "sets grid"),
        ({"finetune": {"mood": {"task": "sst2", "train": {"seeds": [1]}}}}, "sets train.seeds"),
        ({"variants": {"GLM": {"change": {"train": {"seed": 5}}}}}, "sets train.seed"),
        ({"finetune": {"pretrain": {"task": "sst2"}}}, "'pretrain'"),
        (
            {"finetune": {"mood": {"task": "sst2"}, "Mood!": {"task": "sst2"}}},
            "['text', 'mood', 'Mood!']",
        ),
        ({"evaluate": {"mood": {"suite": "lambada"}}}, "same name"),
        ({"evaluate": {"text": {"file": ["$NO_SUCH_FOLDER/a.txt"]}}}, "NO_SUCH_FOLDER"),
    ]:
        assert message in refused({**json.loads(good), **change}, capsys), message
    assert not Path("out").exists()


ODD = [5, -1, True, 1.5, [None], {"a": 1}, ["x", 3]]


@pytest.mark.parametrize(
    ("place", "named"),
    [
        (("output_dir",), "output_dir"),
        (("model",), "model"),
        (("seeds",), "seeds"),
        (("pretrain",), "pretrain|GLM"),
        (("variants",), "variant"),
        (("variants", "GPT"), "GPT"),
        (("variants", "GPT", "change"), "change|GPT"),
        (("variants", "GPT", "measure"), "measure"),
        (("variants", "GPT", "measure", "text"), "text"),
        (("variants", "GPT", "without"), "without"),
        (("evaluate", "text"), "text"),
        (("evaluate", "text", "metrics"), "metrics"),
        (("evaluate", "text", "suite"), "suite"),
        (("evaluate", "text", "context"), "context"),
        (("evaluate", "text", "by"), "by"),
        (("finetune", "mood", "task"), "task"),
    ],
)
def test_odd_values_are_named_by_their_key(recipe, capsys, place, named):
    good = json.dumps(recipe)
    for value in ODD:
        changed = json.loads(good)
        section = changed
        for key in place[:-1]:
            section = section[key]
        section[place[-1]] = value
        said = refused(changed, capsys)
        assert re.search(rf"recipe\.yaml: .*({named})", said), (value, said)


def test_a_single_name_is_a_list_of_one_and_home_is_a_folder(recipe, monkeypatch):
    monkeypatch.setenv("HOME", "/home/anna")
    recipe["evaluate"]["text"]["metrics"] = "bits a byte"
    recipe["variants"]["GPT"]["without"] = "mood"
    recipe["output_dir"] = "~/compared"
    loaded = load_comparison(save(recipe))
    assert loaded.measurements[0].metrics == ("bits a byte",)
    assert loaded.variants[1].without == ("mood",)
    assert loaded.output_dir == Path("/home/anna/compared")


def test_a_seed_that_is_given_twice_is_one_seed(recipe):
    loaded = load_comparison(save(recipe))
    assert loaded.runs(seeds=[1, 1]) == loaded.runs(seeds=[1])


def test_variants_change_only_what_they_name(recipe):
    loaded = load_comparison(save(recipe))
    glm, gpt = loaded.runs(seeds=[1])
    assert (glm.seed, glm.variant.name, gpt.variant.folder_name) == (1, "GLM", "gpt")
    one, other = loaded.pretrain_settings(glm), loaded.pretrain_settings(gpt)
    assert one.train.seed == other.train.seed == 1
    assert (one.objective.token, other.objective.token, other.objective.causal) == (1.0, 0.0, 1.0)
    assert one.model == other.model
    assert one.tokenizer.path == other.tokenizer.path == Path("out/tokenizer")
    with pytest.raises(ValueError, match=r"'GTP'.*GPT"):
        loaded.runs(["GTP"])
    with pytest.raises(ValueError, match=r"\b7\b"):
        loaded.runs(seeds=[7])


def test_sentences_are_compared_however_a_variant_scores_them(recipe):
    recipe["evaluate"] = {"blimp": {"suite": "blimp", "file": ["pairs.jsonl"]}}
    recipe["variants"]["GPT"] = {"change": {"objective": {"token": 0, "causal": 1}}}
    comparison = load_comparison(save(recipe))
    (measurement,) = (one for one in comparison.measurements if one.kind == "evaluate")
    for run in comparison.runs():
        config = comparison.evaluation_options(run, measurement)
        way = "causal" if run.variant.name == "GPT" else "blanks"
        scores = [
            {
                "task": f"{name} ({way})",
                "metric": "accuracy",
                "value": 60.0,
                "language": "",
                "details": {"way": way},
            }
            for name in ("binding", "blimp")
        ]
        content = {"complete": True, "config": plain(config), "scores": scores}
        config.output.parent.mkdir(parents=True, exist_ok=True)
        config.output.write_text(json.dumps(content), encoding="utf-8")
    found = cells(comparison)
    assert {cell.measure for cell in found} == {"blimp: binding, accuracy", "blimp, accuracy"}
    assert len(found) == 2 * len(comparison.runs())


def test_every_language_and_mean_has_a_row(recipe):
    """A suite in several languages ends with the mean and the gap to English."""
    recipe |= {"finetune": {}, "seeds": [0]}
    recipe["variants"]["GPT"] = None
    comparison = load_comparison(save(recipe))
    rows = {"en": 3.5, "fr": 3.0, "mean": 3.25, "en above the others": 0.5}
    for run in comparison.runs():
        config = comparison.evaluation_options(run, comparison.measurements[0])
        scores = [
            asdict(
                Score(
                    task="own files (bi)",
                    metric="bits a byte",
                    value=value,
                    count=9,
                    language=language,
                )
            )
            for language, value in rows.items()
        ]
        config.output.parent.mkdir(parents=True, exist_ok=True)
        content = {"complete": True, "config": plain(config), "scores": scores}
        config.output.write_text(json.dumps(content), encoding="utf-8")
    found = {cell.measure: cell.value for cell in cells(comparison)}
    assert found == {
        f"{comparison.measurements[0].name}: own files, bits a byte, {language}": value
        for language, value in rows.items()
    }


def test_missing_numbers_leave_a_gap(tmp_path):
    cells = [Cell("x", "GLM", 0, 1.0), Cell("x", "GLM", 1, 2.0), Cell("y", "GPT", 0, 3.0)]
    assert to_markdown(cells, "GLM") == (
        "| measure | GLM | GPT |\n| --- | ---: | ---: |\n"
        "| x | 1.50 +- 0.71 | - |\n| y | - | 3.00 |\n"
    )
    assert json.loads(comparison_json(Path("r.yaml"), cells, "GLM"))["table"]["y"] == {
        "GPT": {"mean": 3.0, "deviation": None, "seeds": 1}
    }
    draw_plot([], tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_what_has_no_finite_number_is_named(recipe, monkeypatch):
    """A model whose training went wrong, of which the mean of the other seeds says nothing."""
    recipe |= {"finetune": {}, "seeds": [0]}
    recipe["variants"]["GPT"] = None
    loaded = load_comparison(save(recipe))
    monkeypatch.setattr("unblank.comparing.run._measure_step", lambda *_: Step)
    monkeypatch.setattr("unblank.comparing.run._pretrain_step", lambda *_: Step)
    monkeypatch.setattr("unblank.comparing.run._tokenizer_step", lambda _: Step)
    for run, value in zip(loaded.runs(), (3.0, None), strict=True):
        config = loaded.evaluation_options(run, loaded.measurements[0])
        score = {
            "task": "own files (bi)",
            "metric": "bits a byte",
            "value": value,
            "language": "",
            "details": {},
        }
        record = {"config": plain(config), "complete": True, "scores": [score]}
        config.output.parent.mkdir(parents=True)
        config.output.write_text(json.dumps(record))
    told: list[str] = []
    compare(Path("recipe.yaml"), log=told.append)
    assert [cell.variant for cell in cells(loaded)] == ["GLM"]
    (said,) = [line for line in told if "bits a byte" in line]
    assert "GPT, seed 0" in said


class Step:
    """A step that is done."""

    name = "nothing"

    @staticmethod
    def is_done():
        return True


def test_differences_are_paired_by_seed():
    of_seeds = {"GLM": {0: 1.0, 1: 5.0, 2: 3.0}, "GPT": {2: 5.0, 0: 2.0, 1: 8.0, 3: 90.0}}
    cells = [
        Cell("x", variant, seed, value)
        for variant, values in of_seeds.items()
        for seed, value in values.items()
    ]
    shown = to_markdown(cells, "GLM")
    assert "difference from GLM" in shown
    assert shown.endswith("| measure | GPT |\n| --- | ---: |\n| x | +2.00 +- 0.58 (p 0.074) |\n")
    found = json.loads(comparison_json(Path("r.yaml"), cells, "GLM"))
    assert (found["differences_from"], found["differences"]["x"]["GPT"]["seeds"]) == ("GLM", 3)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_recipes_of_the_repository_load_and_are_planned(path, monkeypatch, tmp_path):
    monkeypatch.setenv("UNBLANK_DATA", "data")
    monkeypatch.chdir(tmp_path)
    loaded = load_comparison(path)
    assert len(loaded.runs()) == len(loaded.variants) * len(loaded.seeds)
    told: list[str] = []
    compare(path, plan=True, seeds=[0], log=told.append)
    for run in loaded.runs(seeds=[0]):
        is_own = run.model_folder.parent == run.folder
        first = "pretrain" if is_own else loaded.measurements[0].name
        assert any(f"{run.variant.name}, seed 0: {first}: to do" in line for line in told)
    assert list(tmp_path.iterdir()) == []


def test_variants_that_differ_only_in_what_is_measured_have_one_model(recipe, capsys):
    recipe["variants"] = {
        "A": None,
        "B": {"change": {"objective": {"token": 0, "causal": 1}}},
        "C": {"measure": {"text": {"window": 16}}},
        "D": {"change": {"objective": {"token": 0, "causal": 1}}, "without": ["mood"]},
    }
    known = load_comparison(save(recipe))
    models = {(run.variant.name, run.seed): run.model_folder for run in known.runs()}
    assert models["A", 0] == models["C", 0] != models["B", 0] == models["D", 0]
    assert models["A", 1] == models["C", 1] != models["A", 0]
    assert len({run.folder for run in known.runs()}) == 8
    main(["compare", str(save(recipe)), "--plan"])
    printed = capsys.readouterr().err
    assert printed.count(": pretrain: ") == 4
    assert "C, seed 0: text: to do" in printed
    main(["compare", str(save(recipe)), "--plan", "--variants", "C"])
    assert capsys.readouterr().err.count(": pretrain: ") == 2
    # What an earlier version pretrained for a variant stays its model.
    (run,) = (one for one in known.runs(["C"], [0]))
    (run.folder / models["A", 0].name).mkdir(parents=True)
    assert known.runs(["C"], [0])[0].model_folder.parent == run.folder
