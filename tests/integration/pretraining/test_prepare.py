"""`unblank prepare` makes what `unblank pretrain` then finds."""

import io
import json
import shutil
import sys

import pytest
from launched import run_together

import unblank
from unblank.data import shards
from unblank.data.prepared import PreparedCorpus
from unblank.pretraining.prepare import run_prepare
from unblank.pretraining.run import run_pretrain
from unblank.tokenization import train

pytestmark = pytest.mark.filterwarnings("ignore:the text is too small")


@pytest.fixture
def settings(make_config, tmp_path):
    return make_config(
        data__hold_out=0.2, data__cache_dir=tmp_path / "cache", tokenizer__path=None,
        tokenizer__vocab_size=300, train__max_steps=1, train__validate_every=1,
    )  # fmt: skip


def refuse(*args, **options):
    raise AssertionError("this was prepared")


def test_a_run_finds_tokenizer_and_text_that_were_prepared(settings, tmp_path, monkeypatch, capsys):
    assert run_prepare(settings) == tmp_path / "cache"
    printed = " ".join(capsys.readouterr().out.split())
    assert "(held out)" in printed
    assert f"prepared text: {tmp_path / 'cache'}" in printed
    assert not settings.train.output_dir.exists()
    monkeypatch.setattr(shards, "write_shard", refuse)
    monkeypatch.setattr(train, "train_tokenizer", refuse)
    monkeypatch.setattr("unblank.pretraining.prepared_text.hold_out_thresholds", refuse)
    folder = run_pretrain(settings)
    kept = next((tmp_path / "cache").glob("tokenizer-*"))
    same = [(one / "tokenizer" / "tokenizer.json").read_bytes() for one in (folder,)]
    assert same == [(kept / "tokenizer.json").read_bytes()]


def test_a_damaged_tokenizer_is_trained_again(settings, tmp_path, capsys):
    run_prepare(settings)
    kept = next((tmp_path / "cache").glob("tokenizer-*"))
    whole = (kept / "tokenizer.json").read_bytes()
    (kept / "tokenizer.json").write_bytes(whole.replace(b'"the"', b'"eth"'))
    run_prepare(settings)
    assert "training the tokenizer again" in capsys.readouterr().out
    assert (kept / "tokenizer.json").read_bytes() == whole


def test_the_call_prepares_what_the_command_does_in_two_processes(text_folder, tmp_path):
    for number in range(3):
        shutil.copy(text_folder / "train.txt", tmp_path / f"{number}.txt")
        with (tmp_path / f"{number}.txt").open("a") as file:
            file.write(f"\n\nThis is text number {number}.\n")
    data = {"text_unit": "paragraph", "max_length": 64}
    tokenizer = str(text_folder / "tokenizer")
    train = [str(tmp_path / f"{number}.txt") for number in range(3)]
    found = unblank.prepare(
        model={"preset": "tiny"}, tokenizer={"path": tokenizer},
        data={**data, "train": train, "cache_dir": str(tmp_path / "one")},
    )  # fmt: skip
    flags = {f"data.{name}": value for name, value in data.items()}
    flags |= {"model.preset": "tiny", "tokenizer.path": tokenizer}
    flags["data.cache-dir"] = str(tmp_path / "two")
    flags["data.train"] = str(tmp_path / "[0-2].txt")
    words = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
    run_together(["prepare", *words], tmp_path, num_processes=2)
    reports = []
    for cache in (found, tmp_path / "two"):
        folders = sorted(path.parent for path in cache.glob("*/manifest.json"))
        reports.append(sum(PreparedCorpus(one).num_tokens for one in folders))
        remembered = cache / "known_text.json"  # not there where the files are too new
        record = json.loads(remembered.read_text()) if remembered.exists() else {}
        assert len(record.get("files", ())) in (0, 3)
    assert reports[0] == reports[1]


def test_a_setting_of_another_family_is_refused(settings):
    with pytest.raises(ValueError, match="ganlm"):
        run_prepare(settings, given={"ganlm.discriminator_weight"})


def test_standard_input_is_text_that_the_recipe_then_names(make_config, tmp_path, monkeypatch):
    config = make_config(data__train=("-",), data__cache_dir=tmp_path / "cache", train__max_steps=1)
    text = "\n\n".join(f"the cat sat on mat {number}" for number in range(40)).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    folder = run_pretrain(config)
    (kept,) = (tmp_path / "cache").glob("standard-input-*.txt")
    assert kept.read_bytes() == text
    assert str(kept) in (folder / "run.yaml").read_text()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(ValueError, match=r"data\.train"):
        run_pretrain(config)
    assert not list((tmp_path / "cache").glob(".standard-input*"))
    with pytest.raises(ValueError, match=r"data\.train"):
        run_pretrain(make_config(data__train=("-",), data__cache_dir=tmp_path / "other" / "cache"))
    assert not (tmp_path / "other").exists()
    with pytest.raises(ValueError, match="twice"):
        run_pretrain(make_config(data__train=("-", "-")))


def test_a_missing_file_of_held_out_pairs_is_named_before_work_is_done(
    make_config, tmp_path, capsys
):
    config = make_config(
        model__preset="deltalm-tiny",
        tokenizer__path=None,
        data__cache_dir=tmp_path / "shards",
        data__validation_pairs=(f"{tmp_path}/none.en:{tmp_path}/none.de",),
    )
    with pytest.raises(FileNotFoundError, match=r"none\.en"):
        run_prepare(config)
    assert "training a tokenizer" not in capsys.readouterr().out
