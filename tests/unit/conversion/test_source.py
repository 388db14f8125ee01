"""Finding a checkpoint by what lies there, and saying what is wrong with what lies there."""

import json
import re

import pytest
import torch
from safetensors.torch import save_file

from unblank.conversion.source import open_source


def test_the_tracker_file_leads_to_the_weights(glm_module, save_ranks):
    source = open_source(save_ranks(glm_module))
    assert source.tensors.keys() == glm_module.keys()
    assert source.records["iteration"] == 100
    assert any("names 100" in line for line in source.evidence)


@pytest.mark.parametrize("tag", ["../elsewhere", "/etc", "..", "."])
def test_a_tracker_file_cannot_lead_out_of_the_folder(tmp_path, tag):
    (tmp_path / "latest").write_text(tag)
    with pytest.raises(ValueError, match=f"latest .*'{re.escape(tag)}'"):
        open_source(tmp_path)


def test_a_missing_rank_is_named(glm_module, save_ranks):
    folder = save_ranks(glm_module, glm_module, glm_module)
    (folder / "100" / "mp_rank_01_model_states.pt").unlink()
    with pytest.raises(FileNotFoundError, match=r"mp_rank_01_model_states\.pt"):
        open_source(folder)


def test_one_rank_given_as_a_file_brings_the_others(glm_module, save_ranks):
    folder = save_ranks(glm_module, glm_module)
    assert len(open_source(folder / "100" / "mp_rank_00_model_states.pt").state_dicts) == 2
    assert len(open_source(folder / "100").state_dicts) == 2


def test_an_index_names_shards_beside_it_and_all_of_them(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    save_file({"a": torch.ones(2)}, tmp_path / "one.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}))
    with pytest.raises(FileNotFoundError, match=r"two\.safetensors"):
        open_source(tmp_path)
    index.write_text(json.dumps({"weight_map": dict.fromkeys("ab", "one.safetensors")}))
    with pytest.raises(ValueError, match=r"\bb\b"):
        open_source(tmp_path)
    index.write_text(json.dumps({"weight_map": {"a": "../one.safetensors"}}))
    with pytest.raises(ValueError, match=r"'\.\./one\.safetensors'"):
        open_source(tmp_path)


def test_a_key_in_two_shards_is_an_error(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    for name in ("one", "two"):
        save_file({"a": torch.ones(2)}, tmp_path / f"{name}.safetensors")
    with pytest.raises(ValueError, match=r"\ba\b.*two\.safetensors"):
        open_source(tmp_path)


def test_several_checkpoints_are_a_choice_of_the_user(tmp_path):
    for name in ("checkpoint1.pt", "checkpoint2.pt"):
        torch.save({"model": {"w": torch.ones(1)}}, tmp_path / name)
    with pytest.raises(ValueError, match=r"checkpoint1\.pt, checkpoint2\.pt"):
        open_source(tmp_path)


def test_a_folder_without_checkpoint_says_what_it_has(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(FileNotFoundError, match=r"notes\.txt"):
        open_source(tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        open_source(tmp_path / "nowhere")


def test_an_archive_is_to_be_unpacked_first(tmp_path):
    (tmp_path / "glm-10b.zip").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"glm-10b\.zip .*unpack"):
        open_source(tmp_path / "glm-10b.zip")


def test_damaged_settings_and_weights_are_named(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json"):
        open_source(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 20)
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        open_source(tmp_path)


def test_released_pages_come_back_when_read_again(glm_module, save_ranks):
    source = open_source(save_ranks(glm_module))
    key = "transformer.layers.0.mlp.dense_h_to_4h.weight"
    source.release()
    assert torch.equal(source.tensors[key], glm_module[key])


@pytest.mark.parametrize("places", [None, ["a"], {"a": 3}])
def test_an_index_that_names_no_files_is_damaged(tmp_path, places):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    with pytest.raises(ValueError, match="weight_map"):
        open_source(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_pointers_left_by_git_lfs_are_recognised(tmp_path, name):
    (tmp_path / "config.json").write_text("{}")
    save_file({"a": torch.ones(2)}, tmp_path / "model.safetensors")
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(ValueError, match=f"{name}.*git-lfs"):
        open_source(tmp_path)


def test_names_that_are_no_text_are_refused(tmp_path):
    torch.save({"module": {"a": torch.ones(2), 7: torch.ones(2)}}, tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"model\.pt .*\b7$"):
        open_source(tmp_path)
    (tmp_path / "latest").write_bytes(bytes(range(256)))
    with pytest.raises(ValueError, match=r"latest .*folder"):
        open_source(tmp_path)
