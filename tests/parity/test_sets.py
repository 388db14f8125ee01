"""The sets of recordings themselves: what the committed one holds, and how the resized one differs.

That the numbers of either are right is what all other tests of this folder show.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from record import check, is_source
from recorded_set import COMMITTED
from resize import FACTORS, grown_family, resize, write_ranks
from resized_layers import PLAIN_SCALE, STACKS, Stack, more_weights
from resized_tensors import copies

from unblank.conversion.source import open_source
from unblank.conversion.torch_files import read_torch_file

FAMILIES = ("deltalm", "ganlm", "glm", "multiglm")


@pytest.fixture(scope="module")
def resized_dir(committed_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("sets") / "resized"
    resize(committed_dir, target)
    return target


def checkpoints(folder: Path) -> dict[str, tuple[int, ...]]:
    """The shape of the word table of each checkpoint, by the path of the checkpoint."""
    found = {}
    for path in sorted(folder.rglob("*.pt")):
        tensors = open_source(path).state_dicts[0]
        key = next(key for key in tensors if key.endswith(("word_embeddings.weight",
                                                           "embed_tokens.weight")))  # fmt: skip
        found[str(path.relative_to(folder))] = tuple(tensors[key].shape)
    return found


def test_model_parallel_pieces_hold_as_many_rows_each_whatever_is_added(committed_dir, tmp_path):
    """New words that do not divide by the pieces become more of them."""
    few = replace(FACTORS["glm"], words=127)
    family = grown_family(committed_dir / "glm", few, STACKS["glm"])
    (folder,) = {path.parent for path in (committed_dir / "glm").rglob("mp_rank_01*")}
    write_ranks(folder, tmp_path, family)
    rows = [
        len(tensor)
        for path in sorted(tmp_path.glob("*.pt"))
        for key, tensor in read_torch_file(path)["module"].items()
        if key.endswith("word_embeddings.weight")
    ]
    assert len(rows) == 2
    assert rows[0] == rows[1]
    assert sum(rows) >= family.growth.num_words + 127


def test_the_committed_set_has_a_checkpoint_and_outputs_of_every_family(committed_dir):
    for family in FAMILIES:
        folder = committed_dir / family
        assert checkpoints(folder), family
        assert list(folder.glob("*.safetensors")), family
        assert (folder / "config.json").is_file()


def test_the_committed_set_is_small():
    assert sum(path.stat().st_size for path in COMMITTED.iterdir()) < 5_000_000


def test_the_committed_set_is_what_the_whole_folder_holds(best_dir, committed_dir):
    if best_dir == committed_dir or not is_source(best_dir, committed_dir):
        pytest.skip("the folder that the committed set was taken from is not here")
    check(best_dir, COMMITTED)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_resized_set_has_other_sizes_words_and_names(family, committed_dir, resized_dir):
    old, new = (
        json.loads((folder / family / "config.json").read_text(encoding="utf-8"))
        for folder in (committed_dir, resized_dir)
    )
    names = ("hidden_size", "num_attention_heads", "num_layers", "vocab_size",
             "max_sequence_length")  # fmt: skip
    if family in ("deltalm", "ganlm"):
        words = "words" if family == "deltalm" else "vocabulary"
        names = ("hidden", "heads", "ffn", words, "max_positions", "encoder_layers")
    assert all(new[name] > old[name] for name in names)
    old_shapes, new_shapes = (
        checkpoints(folder / family) for folder in (committed_dir, resized_dir)
    )
    assert len(new_shapes) >= len(old_shapes)
    assert not old_shapes.keys() & new_shapes.keys()
    assert not set(old_shapes.values()) & set(new_shapes.values())


def test_some_resized_checkpoints_do_not_say_how_they_were_trained(resized_dir):
    for family in ("deltalm", "ganlm"):
        records = [open_source(path).records for path in (resized_dir / family).rglob("*.pt")]
        assert any("args" in record for record in records)
        assert {} in records


def test_units_are_copied_as_equally_often_as_can_be():
    rng = torch.Generator().manual_seed(0)
    found = copies(4, 10, rng)
    assert found.index.bincount().tolist() == [3, 3, 2, 2]
    assert found.shares[found.index == 2].tolist() == [0.5, 0.5]
    for number in (0, 1):
        assert found.index[found.places(number)].tolist() == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="10"):
        copies(10, 4, rng)


def test_a_stack_of_any_depth_gets_its_layers_in_one_place():
    stack = Stack(r"^layers\.", r"state", ("num_layers",), at=1, count=2)
    weights = {
        f"layers.{number}.{part}.weight": torch.tensor([10.0 + number, 20.0 + number])
        for number in range(2)
        for part in ("fc2", "fc1", "final_layer_norm")
    }
    grown = more_weights(weights, (stack,))
    first = [grown[f"layers.{number}.fc1.weight"][0].item() for number in range(4)]
    added = [grown[f"layers.{number}.fc2.weight"][0].item() for number in range(4)]
    norms = [grown[f"layers.{number}.final_layer_norm.weight"].tolist() for number in range(4)]
    assert first == [10, 10, 10, 11]
    assert added == [10, 0, 0, 11]
    assert norms == [[PLAIN_SCALE] * 2, [PLAIN_SCALE] * 2, [10, 20], [11, 21]]
