"""What is chosen for a text, a time and a machine, and what is given stays."""

from importlib.util import spec_from_file_location
from itertools import pairwise
from pathlib import Path

import pytest

from unblank.commands.pretrain import complete_settings
from unblank.pretraining import choosing
from unblank.pretraining.choices import Means, choose
from unblank.pretraining.choosing import choose_settings, is_open
from unblank.pretraining.settings import (
    PretrainDataSettings,
    PretrainSettings,
    PretrainTrainSettings,
)
from unblank.settings.recipes import from_mapping, merged_sections, read_mapping, to_yaml

MB = 1_000_000


def chosen(**means):
    usual = {"text_bytes": 10 * MB, "minutes": 30, "threads": 2}
    return {one.name: one.value for one in choose(Means(**{**usual, **means}))}


def weights(choices):
    """Return about how many weights the layers have."""
    return 12 * choices["model.num_hidden_layers"] * choices["model.hidden_size"] ** 2


@pytest.mark.parametrize("minutes", [0.1, 3, 30, 180, 10_000])
@pytest.mark.parametrize("text_bytes", [0, 1000, MB, 50 * MB, 10_000 * MB])
@pytest.mark.parametrize("has_gpu", [False, True])
def test_every_choice_makes_settings_and_has_a_reason(minutes, text_bytes, has_gpu):
    choices = choose(
        Means(text_bytes=text_bytes, minutes=minutes, threads=2, has_gpu=has_gpu, text_unit="line")
    )
    assert len({one.name for one in choices}) == len(choices)
    assert all(0 < len(one.why) < 60 for one in choices)
    mapping = {}
    for one in choices:
        section, _, name = one.name.partition(".")
        mapping = merged_sections(mapping, {section: {name: one.value}})
    settings = from_mapping(PretrainSettings, mapping)
    assert settings.model.hidden_size % settings.model.num_attention_heads == 0
    assert 0 < settings.data.hold_out <= 0.05


def test_more_time_more_threads_and_a_gpu_give_larger_models():
    sizes = [weights(chosen(minutes=minutes)) for minutes in (3, 30, 180, 10_000)]
    assert all(2 < later / earlier < 7 for earlier, later in pairwise(sizes))
    assert weights(chosen(minutes=3, threads=64)) > weights(chosen(minutes=3))
    assert weights(chosen(has_gpu=True)) > weights(chosen())


def test_short_texts_give_small_vocabularies_dropout_and_short_runs():
    sizes = [chosen(text_bytes=size)["tokenizer.vocab_size"] for size in (10_000, MB, 50 * MB)]
    assert sizes == sorted(set(sizes))
    rates = [chosen(text_bytes=size)["model.hidden_dropout"] for size in (MB, 50 * MB)]
    assert rates[0] > rates[1] == 0
    times = [chosen(text_bytes=s, minutes=None)["train.minutes"] for s in (10_000, MB, 50 * MB)]
    assert times == sorted(times)
    assert times[0] < times[-1] == 30
    assert "train.minutes" not in chosen()


@pytest.mark.parametrize(
    ("name", "minutes", "text_bytes"),
    [
        ("cpu_minutes", 3, 10 * MB),
        ("cpu_half_hour", 30, 10 * MB),
        ("cpu_hours", 180, 50 * MB),
    ],
)
def test_the_recipes_are_what_is_chosen_for_two_threads(name, minutes, text_bytes):
    recipe = read_mapping(f"recipe:{name}")
    named = {
        f"{section}.{field}": value
        for section, fields in recipe.items()
        for field, value in fields.items()
    }
    assert named.pop("train.minutes") == minutes
    assert named.pop("train.output_dir") == f"runs/{name}"
    assert named == chosen(minutes=minutes, text_bytes=text_bytes)


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "my.txt"
    path.write_text("Some words of a text.\n\nAnd some more of them.\n" * 100, encoding="utf-8")
    return path


def settings_of(text: Path, **train: object) -> PretrainSettings:
    where = {"output_dir": text.parent / "run", **train}
    return PretrainSettings(
        data=PretrainDataSettings(train=(str(text),)), train=PretrainTrainSettings(**where)
    )


def test_the_means_are_said_in_words():
    means = Means(text_bytes=525_261, minutes=1, threads=2)
    assert str(means) == "525 kB of text, 1 minute of 2 threads"
    means = Means(text_bytes=12 * MB, minutes=None, threads=8, has_gpu=True)
    assert str(means) == "12.0 MB of text, a GPU"


def test_what_is_given_stays_and_takes_along_what_belongs_to_it(text):
    given = settings_of(text, batch_size=6)
    names = {"data.train", "train.batch_size", "optim.name", "objective.document"}
    found = choose_settings(given, names)
    assert found.settings.train.batch_size == 6
    assert found.settings.data.train == given.data.train
    assert found.settings.objective == given.objective
    assert found.settings.optim.name == given.optim.name
    assert found.settings.optim.learning_rate == given.optim.learning_rate
    assert found.settings.optim.muon_factor is None
    assert {one.name for one in found.choices}.isdisjoint(names)
    assert found.settings.model.num_hidden_layers


def test_one_text_file_is_divided_so_that_some_of_it_is_held_out(text):
    assert choose_settings(settings_of(text), ()).settings.data.text_unit == "paragraph"
    text.write_text("Some words.\nAnd some more.\n" * 100, encoding="utf-8")
    assert choose_settings(settings_of(text), ()).settings.data.text_unit == "line"


def test_a_run_that_is_continued_keeps_what_it_had(text, monkeypatch):
    monkeypatch.setattr(choosing, "thread_count", lambda: 1)
    begun = choose_settings(settings_of(text, minutes=8.0), ("train.minutes",)).settings
    folder = begun.train.output_dir
    folder.mkdir()
    (folder / "run.yaml").write_text(to_yaml(begun), encoding="utf-8")
    # On a larger machine it would be a larger model.
    monkeypatch.setattr(choosing, "thread_count", lambda: 64)
    asked = settings_of(text, minutes=8.0)
    assert choose_settings(asked, ("train.minutes",)).settings == begun
    new = settings_of(text, minutes=8.0, output_dir=text.parent / "new")
    assert choose_settings(new, ("train.minutes",)).settings.model != begun.model


def test_a_gpu_is_seen_without_loading_torch(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert choosing._has_gpu("cuda:1")
    assert not choosing._has_gpu("cpu")
    package, driver = tmp_path / "torch", tmp_path / "version"
    (package / "lib").mkdir(parents=True)
    (package / "__init__.py").touch()
    spec = spec_from_file_location("torch", package / "__init__.py")
    monkeypatch.setattr(choosing, "find_spec", lambda name: spec)
    monkeypatch.setattr(choosing, "_DRIVER", driver)
    driver.touch()
    assert not choosing._has_gpu("auto")  # a torch for processors alone
    (package / "lib" / "libtorch_cuda.so").touch()
    assert choosing._has_gpu("auto")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert not choosing._has_gpu("auto")
    driver.unlink()
    assert not choosing._has_gpu("auto")


@pytest.mark.parametrize("name", ["model.preset", "model.init_from", "data.pairs", "ganlm.x"])
def test_who_says_which_model_chooses_alone(name):
    assert is_open({"data.train", "train.minutes"})
    assert not is_open({"data.train", name})
    assert not is_open({"train.minutes"})


def test_the_table_names_every_setting_as_a_flag(text):
    from rich.console import Console

    console = Console(width=200)
    found = choose_settings(settings_of(text, minutes=3.0), ("train.minutes",))
    with console.capture() as captured:
        console.print(found.table())
    printed = captured.get()
    assert "3 minutes of" in printed
    for one in found.choices:
        assert f"--{one.name.replace('_', '-')} {one.value}" in printed


def test_that_nothing_is_chosen_for_standard_input_is_said(capsys):
    asked = PretrainSettings(data=PretrainDataSettings(train=("-",)))
    assert complete_settings(asked, frozenset(["data.train"])) == asked
    assert "nothing is chosen" in capsys.readouterr().err
    assert complete_settings(asked, frozenset(["data.train", "model.preset"])) == asked
    assert not capsys.readouterr().err
