"""Records of folders with odd values anywhere in them: `unblank info` tells what it can, or not.

The values are of wrong types, too large, too long, or lead elsewhere; checksums agree with them.
"""

import json
import random
import shutil

import pytest
from counts import hard_count
from tiny_models import tiny_unblank

from unblank.adapters.record import AdapterRecord
from unblank.describing.folder import describe_folder
from unblank.integrity import MANIFEST_NAME, facts_of_files, find_damage, seal

NUM_TRIES = hard_count(40, 1000)
"""For each kind of folder."""

OUTSIDE = {"/etc/hostname": {"size": 1, "sha256": "a"}}
ODD = (
    *(None, [], {}, [[]], [{"a": 1}], {"a": [1]}, "x", "a" * 5000, "a\x00b", "../../outside"),
    *(True, -1, 1.5, 10**400, float("nan"), float("inf"), OUTSIDE),
)


def model(folder):
    made = tiny_unblank("bpe")
    made.model.save_pretrained(folder)
    made.tokenizer.save_pretrained(folder)
    source = {"path": "a"}
    settings = {"task": "x", "data": {"train": ["a"]}, "objective": {"token": 1.0}}
    record = {"made_by": "a", "steps": 3, "loss": 1.5, "scores": {"f1": 0.5}, "source": source}
    files = facts_of_files(folder)
    (folder / "provenance.json").write_text(seal({**record, "settings": settings, "files": files}))


def adapter(folder):
    model(folder / "base")
    AdapterRecord(
        kind="lora", base_model=str(folder / "base"), base_fingerprint=None, num_parameters=3
    ).write(folder)
    (folder / "adapter_config.json").write_text('{"modules_to_save": ["dense"]}')


def checkpoint(folder):
    model(folder)
    (folder / MANIFEST_NAME).write_text(seal({"files": facts_of_files(folder)}))


def paths_in(value, path=()):
    """Yield the way to every value inside a value."""
    yield path
    inner = enumerate(value[:3]) if isinstance(value, list) else ()
    for key, one in value.items() if isinstance(value, dict) else inner:
        yield from paths_in(one, (*path, key))


def put(value, path, odd):
    """Return a value with another one at a place in it."""
    if not path:
        return odd
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = put(copy[path[0]], path[1:], odd)
    return copy


def told(folder, *, verify):
    """Return the facts of a folder, or the message of what refuses it."""
    try:
        found = describe_folder(folder, verify=verify)
    except (ValueError, FileNotFoundError) as error:
        return [], str(error)
    return [fact for facts in found.facts.values() for fact in facts.values()], ""


@pytest.mark.parametrize("kind", [model, adapter, checkpoint])
def test_odd_values_are_told_or_refused_by_name(kind, tmp_path, tally):
    folder = tmp_path / "folder"
    folder.mkdir()
    kind(folder)
    records = {path: path.read_text() for path in sorted(folder.rglob("*.json"))}
    draw = random.Random(kind.__name__)
    counts = {"told": 0, "named": 0}
    for _ in range(NUM_TRIES):
        path = draw.choice(list(records))
        content = json.loads(records[path])
        place, odd = draw.choice(list(paths_in(content))), draw.choice(ODD)
        new = put(content, place, odd)
        has_checksum = isinstance(new, dict) and new.pop("checksum", None)
        path.write_text(seal(new) if has_checksum else json.dumps(new))
        facts, message = told(folder, verify=draw.random() < 0.5)
        assert all(isinstance(fact, str) for fact in facts)
        assert facts or str(folder) in message, f"{path.name}: {place} is {odd!r:.40}"
        counts["told" if facts else "named"] += 1
        path.write_text(records[path])
    tally("odd records", tried=NUM_TRIES, **counts)


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "a/../../outside"])
def test_a_record_that_names_what_is_elsewhere_is_refused(name, tmp_path):
    (tmp_path / "outside").write_text("secret")
    folder = tmp_path / "folder"
    folder.mkdir()
    shutil.copy(tmp_path / "outside", folder / "a")
    facts = facts_of_files(folder)["a"]
    (folder / MANIFEST_NAME).write_text(seal({"files": {name: facts}}))
    assert "not in its folder" in (find_damage(folder) or "")


@pytest.mark.parametrize("harm", ["missing", "changed"])
def test_a_shard_of_the_weights_is_named(harm, tmp_path):
    made = tiny_unblank("bpe")
    made.model.save_pretrained(tmp_path, max_shard_size="30KB")
    made.tokenizer.save_pretrained(tmp_path)
    (tmp_path / "provenance.json").write_text(seal({"files": facts_of_files(tmp_path)}))
    assert not describe_folder(tmp_path, verify=True).damage
    for shard in sorted(tmp_path.glob("model-*.safetensors")):
        content = shard.read_bytes()
        if harm == "missing":
            shard.unlink()
            assert describe_folder(tmp_path).facts["model"]["missing"] == shard.name
        else:
            shard.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert shard.name in describe_folder(tmp_path, verify=True).damage
        shard.write_bytes(content)
