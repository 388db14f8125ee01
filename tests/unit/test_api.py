"""`unblank.load`: a folder comes back whole, and everything that can be wrong with one is named."""

import json
import shutil

import pytest
import torch

import unblank
from unblank.engine.checkpoint import write_checkpoint
from unblank.models import GlmInfillConfig, GlmInfillForConditionalGeneration
from unblank.tokenization import special_ids
from unblank.tokenization.train import train_tokenizer

CORPUS = ["the old cat sat on a warm mat and saw one small dog run far. " * 5] * 4


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    with pytest.warns(UserWarning, match="too small"):
        tokenizer = train_tokenizer(CORPUS, kind="bpe", vocab_size=400, show_progress=False)
    ids = special_ids(tokenizer)
    config = GlmInfillConfig(
        vocab_size=448, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=32, tokenizer_size=len(tokenizer), mask_token_id=ids.mask,
        sop_token_id=ids.sop, eop_token_id=ids.eop,
    )  # fmt: skip
    torch.manual_seed(0)
    GlmInfillForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "model")


def edit_json(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_folder_fills_and_scores(folder):
    model = unblank.load(str(folder), device="cpu")
    assert model.fill("the [MASK] sat").text.startswith("the")
    assert model.score("the [MASK] sat", ["cat", "dog"]).best.text in ("cat", "dog")
    with pytest.raises(ValueError, match=r"source_tag.*encoder-decoder"):
        model.score("the [MASK] sat", ["cat", "dog"], source_tag="__de__")
    assert not model.model.training


def test_the_dtype_is_as_asked_for(folder):
    assert unblank.load(folder, dtype="bf16", device="cpu").model.dtype == torch.bfloat16
    filled = unblank.load(folder, dtype="bf16", device="cpu").fill("the [MASK] sat", max_tokens=3)
    assert all(log_p <= 0 for log_p in filled.blanks[0].log_probabilities)
    with pytest.raises(ValueError, match="fp32"):
        unblank.load(folder, dtype="int8")
    with pytest.raises(ValueError, match="dtype"):
        unblank.load(folder, dtype=torch.float8_e4m3fn)


def test_a_missing_folder_offers_the_nearest(folder):
    with pytest.raises(FileNotFoundError, match=r"/model\b"):
        unblank.load(folder.parent / "modle")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        unblank.load(folder)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_cut_weights_are_named(folder, share):
    path = folder / "model.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        unblank.load(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_broken_json_is_named(folder, name):
    (folder / name).write_text('{"model_type": ')
    with pytest.raises(ValueError, match=name):
        unblank.load(folder)


def test_another_kind_of_model_is_refused(folder):
    edit_json(folder / "config.json", model_type="bert")
    with pytest.raises(ValueError, match=r"'bert'.*glm_infill"):
        unblank.load(folder)


def test_weights_that_do_not_fit_the_configuration_are_refused(folder):
    edit_json(folder / "config.json", hidden_size=32)
    with pytest.raises(ValueError, match=r"config\.json"):
        unblank.load(folder)


def test_weights_of_other_shapes_are_named_with_both(folder):
    edit_json(folder / "config.json", vocab_size=512)
    with pytest.raises(ValueError, match=r"embed_tokens.*448.*512"):
        unblank.load(folder)


@pytest.mark.parametrize("change", [{"hidden_size": "x"}, {"vocab_size": 64}])
def test_an_impossible_configuration_is_named(folder, change):
    edit_json(folder / "config.json", **change)
    with pytest.raises(ValueError, match=r"config\.json"):
        unblank.load(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_checkpoint_that_has_changed_is_named_and_an_earlier_one_offered(saved, tmp_path, name):
    first, second = tmp_path / "step-00000001", tmp_path / "step-00000002"
    for step in (1, 2):
        write_checkpoint(tmp_path, step, lambda path: shutil.copytree(saved, path, dirs_exist_ok=1))
    content = bytearray((second / name).read_bytes())
    content[-3] ^= 1
    (second / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{second} .*{name}.*{first}"):
        unblank.load(second)
    unblank.load(first)


def test_a_candidate_longer_than_the_positions_is_refused(folder):
    with pytest.raises(ValueError, match=r"\b31\b"):
        unblank.load(folder, device="cpu").score("the [MASK] sat", ["cat", "dog " * 40])


def test_missing_weights_are_named(folder):
    edit_json(folder / "config.json", num_hidden_layers=2)
    with pytest.raises(ValueError, match=r"model\.layers\.1"):
        unblank.load(folder)


def test_a_tokenizer_larger_than_the_table_is_refused(folder):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([f"word{number}" for number in range(200)])
    tokenizer.save_pretrained(folder)
    with pytest.raises(ValueError, match=r"\b448\b"):
        unblank.load(folder)


@pytest.mark.parametrize("device", ["cuda:99", "banana", "meta"])
def test_a_device_that_is_not_there_is_refused(folder, device):
    with pytest.raises(ValueError, match=device):
        unblank.load(folder, device=device)
