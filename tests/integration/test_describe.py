"""`unblank info`: a folder of every kind is told from its files."""

import json
import shutil

import pytest
from labelled_toys import labelled_config, toys
from pretraining_toys import small_settings, text_folder
from safetensors.torch import load_file, save_file

import unblank
from unblank.adapters.settings import LoraSettings
from unblank.cli import main
from unblank.conversion.source import open_source
from unblank.conversion.verify import verify
from unblank.describing.folder import describe_folder
from unblank.engine.checkpoint import list_checkpoints
from unblank.engine.folder_lock import lock_folder
from unblank.engine.run_state import read_run_state
from unblank.finetuning.run import run_finetune
from unblank.integrity import facts_of_files, seal
from unblank.models import ElectraInfillConfig, ElectraInfillForPreTraining
from unblank.pretraining.run import run_pretrain
from unblank.pretraining.settings import PretrainSettings
from unblank.settings.recipes import from_mapping

__all__ = ["text_folder", "toys"]


@pytest.fixture(scope="module")
def run_folder(text_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "mine"
    settings = small_settings(text_folder, folder)
    settings["data"]["validation"] = [str(text_folder / "held_out.txt")]
    run_pretrain(from_mapping(PretrainSettings, settings))
    return folder


@pytest.fixture
def unfinished(run_folder, tmp_path):
    """The folder of the run as it was after two of its four steps."""
    folder = tmp_path / "going"
    shutil.copytree(run_folder, folder)
    for name in ("config.json", "model.safetensors", "provenance.json", "README.md"):
        (folder / name).unlink()
    lines = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_text("".join(lines[:2]))
    shutil.rmtree(list_checkpoints(folder / "checkpoints")[0])
    return folder


def test_a_model_that_writes_nothing_is_offered_what_it_is_for(tmp_path):
    config = ElectraInfillConfig(
        vocab_size=64, hidden_size=16, num_hidden_layers=1, num_attention_heads=2
    )
    ElectraInfillForPreTraining(config).save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    (command,) = describe_folder(tmp_path).next_commands
    assert f"--model.init-from-encoder {tmp_path}" in command


def test_a_model_says_its_size_its_vocabulary_and_where_it_comes_from(run_folder):
    found = describe_folder(run_folder, verify=True)
    model = unblank.load(run_folder)
    num_parameters = sum(weight.numel() for weight in model.model.parameters())
    assert found.kind == "model"
    assert found.facts["model"]["parameters"].startswith(f"{num_parameters:,} (")
    assert found.facts["model"]["family"] == "glm"
    assert found.facts["vocabulary"]["tokens"] == f"{len(model.tokenizer):,}"
    assert found.facts["vocabulary"]["kind"] == "wordpiece"
    assert found.facts["vocabulary"]["case"] == "kept"
    assert f"[MASK] {model.tokenizer.mask_token_id}" in found.facts["vocabulary"]["special ids"]
    assert found.facts["made"]["steps"] == "4"
    assert "train.txt" in found.facts["made"]["trained on"]
    assert found.facts["run"]["state"] == "finished"
    assert any("unblank fill" in command for command in found.next_commands)
    assert (found.is_verified, found.damage) == (True, "")


def test_parts_add_up(run_folder):
    from safetensors.torch import load_file

    text = describe_folder(run_folder).facts["model"]["parameters"]
    parts = dict(part.rsplit(" ", 1) for part in text.partition("(")[2].rstrip(")").split(", "))
    weights = load_file(run_folder / "model.safetensors")
    layers = sum(tensor.numel() for name, tensor in weights.items() if ".layers." in name)
    assert parts["layers"] == f"{layers:,}"


def test_a_run_says_how_far_it_is_and_so_does_every_command(unfinished, capsys):
    last = json.loads((unfinished / "metrics.jsonl").read_text().splitlines()[-1])
    before = json.loads((unfinished / "metrics.jsonl").read_text().splitlines()[-2])
    state = read_run_state(unfinished)
    assert (state.step, state.num_steps, state.is_running) == (2, 4, False)
    seconds = (last["tokens"] - before["tokens"]) / last["tokens_per_second"]
    assert state.seconds_left == pytest.approx(2 * seconds)
    (checkpoint,) = list_checkpoints(unfinished / "checkpoints")
    assert state.checkpoint == checkpoint
    with lock_folder(unfinished):
        found = describe_folder(unfinished)
        assert (found.kind, found.facts["run"]["state"]) == ("run", "running")
        with pytest.raises(SystemExit):
            main(["fill", str(unfinished), "a [MASK]"])
    said = capsys.readouterr().err
    assert "is still training (step 2 of 4, loss " in said
    assert str(checkpoint) in said
    with pytest.raises(FileNotFoundError, match=f"{unfinished} .*{checkpoint}"):
        unblank.load(unfinished)
    assert unblank.load(checkpoint).fill("a [MASK]", max_tokens=2).text
    assert describe_folder(checkpoint, verify=True).kind == "checkpoint of a model"


def test_damage_is_named(run_folder, tmp_path, capsys):
    folder = tmp_path / "damaged"
    shutil.copytree(run_folder, folder)
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(SystemExit):
        main(["info", str(folder), "--verify"])
    assert "model.safetensors has changed" in capsys.readouterr().err
    (checkpoint, *_) = list_checkpoints(folder / "checkpoints")
    (checkpoint / "config.json").write_text("{}")
    assert checkpoint.name in describe_folder(folder / "checkpoints", verify=True).damage
    main(["info", str(folder), "--json"])
    assert json.loads(capsys.readouterr().out)["verified"] is False


@pytest.mark.parametrize("has_record", [True, False])
def test_weights_that_are_no_numbers_are_named(has_record, run_folder, tmp_path, capsys):
    folder = tmp_path / "not_finite"
    shutil.copytree(run_folder, folder, ignore=shutil.ignore_patterns("checkpoints"))
    assert describe_folder(folder).facts["model"]["values"] == "not read"
    assert describe_folder(folder, verify=True).facts["model"]["values"] == "all finite"
    weights = load_file(folder / "model.safetensors")
    name = sorted(weights)[-1]
    weights[name].view(-1)[-1] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    record = folder / "provenance.json"
    written = json.loads(record.read_text())
    record.unlink()
    if has_record:
        record.write_text(seal({**written, "files": facts_of_files(folder)}))
    with pytest.raises(SystemExit):
        main(["info", str(folder), "--verify"])
    assert f"model.safetensors: {name} has NaN" in capsys.readouterr().err


def test_tokenizers_and_prepared_text(run_folder, text_folder):
    found = describe_folder(text_folder / "tokenizer")
    assert found.kind == "tokenizer"
    (corpus, *_) = (one.parent for one in text_folder.rglob("offsets.bin"))
    found = describe_folder(corpus, verify=True)
    assert (found.kind, found.damage) == ("prepared corpus", "")
    assert int(found.facts["corpus"]["documents"].replace(",", "")) > 0
    kept = describe_folder(corpus.parent, verify=True)
    assert (kept.kind, kept.damage, kept.is_verified) == ("prepared text", "", True)
    assert kept.facts["corpora"][corpus.name].startswith(found.facts["corpus"]["documents"] + " ")


def test_adapters_and_classifiers_say_their_task(toys, tmp_path):
    train = {"max_steps": 1, "validate_every": 1, "final": "last"}
    lora = run_finetune(
        labelled_config(
            toys, tmp_path / "lora", method="lora", lora=LoraSettings(rank=2), train=train
        )
    )
    found = describe_folder(lora)
    assert found.kind == "LoRA adapter"
    assert found.facts["LoRA adapter"]["base model"] == str(toys["model"])
    assert any("unblank merge" in command for command in found.next_commands)
    head = run_finetune(labelled_config(toys, tmp_path / "head", method="classifier", train=train))
    found = describe_folder(head)
    assert found.kind == "classifier"
    assert found.facts["classifier"]["labels"] == "good, bad"
    assert found.facts["made"]["task"] == str(toys["task"])
    assert not any("fill" in command for command in found.next_commands)
    tuned = run_finetune(labelled_config(toys, tmp_path / "tuned", train=train))
    first, *_ = describe_folder(tuned).next_commands
    assert first == f"unblank predict {tuned} INPUT OUTPUT"


@pytest.mark.parametrize(
    "settings",
    [{"architectures": {"a": 1}}, {"architectures": 5}, {"architectures": "Glm"},
     {"architectures": [5]}, {"model_type": ["glm"]}],
)  # fmt: skip
def test_settings_of_another_kind_are_damage(settings, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(settings))
    for look in (describe_folder, verify):
        with pytest.raises(ValueError, match=rf"config\.json is damaged: {next(iter(settings))}"):
            look(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ValueError, match=rf"config\.json is damaged: {next(iter(settings))}"):
        open_source(tmp_path)


def test_what_is_no_folder_of_ours_is_said(tmp_path):
    (tmp_path / "model").mkdir()
    with pytest.raises(FileNotFoundError, match=r"/model\b"):
        describe_folder(tmp_path / "modle")
    with pytest.raises(ValueError, match="nothing"):
        describe_folder(tmp_path / "model")
    (tmp_path / "model" / "mp_rank_00_model_states.pt").write_bytes(b"x")
    with pytest.raises(ValueError, match="unblank convert"):
        describe_folder(tmp_path / "model")
