"""A part of the training pairs: how many, which, and always the same ones."""

import json

import pytest

from unblank.finetuning.pairs.entries import read_entries
from unblank.finetuning.settings import FinetuneDataSettings


def test_a_share_of_each_entry_is_drawn_and_nested_runs_agree(tmp_path):
    files = []
    for name, count in (("a", 40), ("b", 5)):
        records = [{"source": f"{name}{n}", "target": "t"} for n in range(count)]
        files.append(tmp_path / f"{name}.jsonl")
        files[-1].write_text("".join(json.dumps(one) + "\n" for one in records), encoding="utf-8")
    data = FinetuneDataSettings()

    def sources(share):
        entries = read_entries(data, [str(file) for file in files], None, share)
        return [[pair.source for pair in entry.pairs] for entry in entries]

    whole, part = sources(1.0), sources(0.1)
    assert whole == [[f"a{n}" for n in range(40)], [f"b{n}" for n in range(5)]]
    assert [len(entry) for entry in part] == [4, 1]
    assert part == sources(0.1)
    assert part[0] == [one for one in whole[0] if one in part[0]] != whole[0][:4]
    assert [len(entry) for entry in sources(0.001)] == [1, 1]


@pytest.mark.parametrize("share", [0.0, 1.5])
def test_a_share_lies_between_nothing_and_all(share):
    with pytest.raises(ValueError, match="share"):
        FinetuneDataSettings(share=share)
