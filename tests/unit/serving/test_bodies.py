"""The fields of requests are those of the library's options: names and defaults."""

import os
from dataclasses import fields
from pathlib import Path

import pytest

from unblank.commands.serve import ServeSettings
from unblank.generation.options import DecodingOptions, GenerationOptions
from unblank.serving.bodies import FillBody, GenerateBody
from unblank.serving.opening import build_service, open_tasks

NOT_OPTIONS = {"model", "text", "source", "order", "rules", "stream", "passages"}


@pytest.mark.parametrize(
    ("body", "options", "required"),
    [(FillBody, DecodingOptions, "text"), (GenerateBody, GenerationOptions, "source")],
)
def test_a_body_has_the_options_of_the_library(body, options, required):
    names = {field.name for field in fields(options)}
    assert set(body.model_fields) - NOT_OPTIONS == names
    assert body(**{required: "a"}).options() == options()


def test_a_folder_may_be_given_another_name(tmp_path):
    odd = tmp_path / "a=b"
    odd.mkdir()
    settings = ServeSettings(models=("runs/mine", "runs/other/=de-en", str(odd)))
    names = {name: str(folder) for name, folder in settings.named_folders().items()}
    assert names == {"mine": "runs/mine", "de-en": "runs/other", "a=b": str(odd)}
    with pytest.raises(ValueError, match="mine"):
        ServeSettings(models=("runs/mine", "old/mine")).named_folders()


def test_a_task_file_may_be_given_another_name(tmp_path):
    path = tmp_path / "sst2.yaml"
    path.write_text("verbalizer: {a: one, b: two}\npatterns: ['{text} [MASK]']\n")
    settings = ServeSettings(models=("a",), task=(str(path),))
    with pytest.raises(ValueError, match=r"sst2\.yaml=NAME"):
        open_tasks(settings.named_tasks())
    named = ServeSettings(models=("a",), task=(f"{path}=mine",)).named_tasks()
    assert list(open_tasks(named)) == ["mine"]
    with pytest.raises(ValueError, match="two tasks"):
        ServeSettings(models=("a",), task=(str(path), str(path))).named_tasks()


def test_a_task_that_only_a_classifier_answers_is_not_served(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("labels: [a, b]\nclassifier: ['{text}']\n")
    tasks = open_tasks({"own": path})
    with pytest.raises(ValueError, match="'own'"):
        build_service({}, tasks=tasks)


def test_the_key_comes_from_a_file_or_the_environment(tmp_path, monkeypatch):
    file = tmp_path / "key"
    file.write_text("of the file\n")
    monkeypatch.setenv("UNBLANK_API_KEY", "of the environment")
    assert ServeSettings(models=("a",)).api_key() == "of the environment"
    assert ServeSettings(models=("a",), api_key_file=file).api_key() == "of the file"
    file.write_text("\n")
    with pytest.raises(ValueError, match=str(file)):
        ServeSettings(models=("a",), api_key_file=file).api_key()
    monkeypatch.delenv("UNBLANK_API_KEY")
    assert ServeSettings(models=("a",)).api_key() is None


def test_the_key_may_come_through_a_pipe():
    end, start = os.pipe()
    os.write(start, b"of the pipe\n")
    os.close(start)
    try:
        settings = ServeSettings(models=("a",), api_key_file=Path(f"/dev/fd/{end}"))
        assert settings.api_key() == "of the pipe"
    finally:
        os.close(end)
