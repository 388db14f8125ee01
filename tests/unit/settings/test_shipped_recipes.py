"""Recipes by name: found from anywhere, listed with a line each, in the wheel."""

import tomllib
from pathlib import Path

import pytest

from unblank.cli import main
from unblank.pretraining.settings import PretrainSettings
from unblank.settings.recipes import read_mapping, read_settings
from unblank.settings.shipped_recipes import recipe_path, shipped_recipes

REPOSITORY = Path(__file__).resolve().parents[3]


def test_every_recipe_has_a_name_of_its_own_and_a_line():
    files = sorted((REPOSITORY / "recipes").glob("*/*.yaml"))
    found = shipped_recipes()
    assert sorted(one.path for one in found) == files
    assert len({one.name for one in found}) == len(files)
    assert all(one.about for one in found)
    for one in found:
        assert recipe_path(f"recipe:{one.name}") == one.path


def test_a_recipe_is_used_by_its_name_from_anywhere(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    by_path = read_settings(PretrainSettings, REPOSITORY / "recipes/pretrain/cpu_tiny.yaml")
    assert read_settings(PretrainSettings, "recipe:cpu_tiny") == by_path
    with pytest.raises(SystemExit) as stop:
        main(["pretrain", "recipe:cpu_tiny", "--train.max-steps", "7", "--print-recipe"])
    assert not stop.value.code
    assert "max_steps: 7" in capsys.readouterr().out


def test_the_list_and_one_of_them(capsys):
    main(["recipes"])
    lines = capsys.readouterr().out.splitlines()
    assert "unblank finetune recipe:NAME" in lines
    assert any(line.startswith("  cpu_tiny ") and "Minutes on two cores" in line for line in lines)
    main(["recipes", "show", "cpu_tiny"])
    text = (REPOSITORY / "recipes/pretrain/cpu_tiny.yaml").read_text(encoding="utf-8")
    assert capsys.readouterr().out == text


def test_unknown_names_are_said_with_near_ones(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"'cpu_tinny'.*\bcpu_tiny\b"):
        read_mapping("recipe:cpu_tinny")
    with pytest.raises(FileNotFoundError, match=r"none\.yaml"):
        read_mapping(tmp_path / "none.yaml")


def test_the_wheel_has_them_where_they_are_looked_for():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"] == {"recipes": "unblank/recipes"}
