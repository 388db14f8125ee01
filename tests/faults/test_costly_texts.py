"""Small files and texts that would cost hours or all memory: each is refused by name, at once."""

import json
import time

import pytest

from unblank.prompting.yaml_lines import build_from_yaml
from unblank.settings.recipes import read_mapping
from unblank.untrusted.json_text import read_json_object


def aliases(template: str, first: str) -> str:
    """Return YAML in which every anchor holds the one before it several times."""
    lines = [first]
    for before, name in zip("abcdefghijklmnop", "bcdefghijklmnopq", strict=True):
        lines.append(template.format(before=before, name=name))
    return "\n".join(lines) + "\n"


COSTLY_YAML = {
    "aliases": aliases(
        "{name}: &{name} [*{before}, *{before}, *{before}, *{before}]", "a: &a [x, x]"
    ),
    "merges": aliases(
        "{name}: &{name} {{<<: [*{before}, *{before}, *{before}], z: 1}}", "a: &a {x: 1}"
    ),
    "itself": "a: &a [*a]",
    "brackets": "[" * 3000,
    "braces": "{a: " * 3000,
    "dashes": "- " * 3000 + "x",
    "keys": "? " * 3000 + "x",
    "indents": "\n".join(" " * level + "k:" for level in range(200)),
    "size": "a: x\n" + "#" * 2**20,
    "wide": "[" + "x, " * 200_000 + "]",
}


def task_file(path):
    return build_from_yaml(path, lambda _, content: content)


@pytest.mark.parametrize("read", [read_mapping, task_file])
@pytest.mark.parametrize("kind", COSTLY_YAML)
def test_costly_yaml_is_refused_at_once(tmp_path, kind, read):
    path = tmp_path / "costly.yaml"
    path.write_text(COSTLY_YAML[kind], encoding="utf-8")
    start = time.process_time()
    with pytest.raises(ValueError, match=r"costly\.yaml") as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert time.process_time() - start < 5


def test_a_number_in_base_60_that_would_take_minutes_is_a_text(tmp_path):
    path = tmp_path / "number.yaml"
    path.write_text("a: " + "1:" * 100_000 + "1", encoding="utf-8")
    assert isinstance(read_mapping(path)["a"], str)


def test_an_alias_that_is_not_a_bomb_is_read(tmp_path):
    path = tmp_path / "shared.yaml"
    path.write_text("base: &base {x: 1}\nmore: {<<: *base, y: 2}\n", encoding="utf-8")
    assert read_mapping(path) == {"base": {"x": 1}, "more": {"x": 1, "y": 2}}


def test_a_key_of_a_recipe_occurs_once(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text("model:\n  preset: a\nmodel:\n  preset: b\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"twice\.yaml, line 3: 'model' occurs twice"):
        read_mapping(path)


@pytest.mark.parametrize("opening", ["[", '{"a": '])
def test_json_of_brackets_alone_is_damaged(tmp_path, opening):
    path = tmp_path / "config.json"
    path.write_text(opening * 100_000, encoding="utf-8")
    with pytest.raises(ValueError, match=r"config\.json is damaged: its brackets"):
        read_json_object(path)


@pytest.mark.parametrize("content", [b"[1]", b"\xff\xfe", b"{", b'{"a": 1} x'])
def test_json_that_is_no_object_is_damaged(tmp_path, content):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"config\.json is damaged"):
        read_json_object(path)


def test_an_object_is_read(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"a": 1}), encoding="utf-8")
    assert read_json_object(path) == {"a": 1}
