"""A share of the pairs to train on: about as many, the same each time, within a larger share."""

import json
from dataclasses import replace

import pytest

from unblank.finetuning.pairs.entries import read_training_entries
from unblank.finetuning.settings import FinetuneDataSettings


def sources(path, share):
    (entry,) = read_training_entries(FinetuneDataSettings(train=(str(path),), share=share))
    return [pair.source for pair in entry.pairs]


def test_a_smaller_share_is_part_of_a_larger_one(tmp_path):
    path = tmp_path / "a.jsonl"
    lines = [json.dumps({"source": f"text {n}", "target": "x"}) for n in range(1000)]
    path.write_text("\n".join(lines), encoding="utf-8")
    small, large, whole = (sources(path, share) for share in (0.1, 0.3, 1.0))
    assert set(small) < set(large) < set(whole)
    assert len(whole) == 1000
    assert 70 < len(small) < 130
    assert 250 < len(large) < 350


def test_a_share_without_a_pair_is_named(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"source": "text", "target": "x"}), encoding="utf-8")
    data = FinetuneDataSettings(train=(str(path),), share=1e-9)
    with pytest.raises(ValueError, match=r"data\.share is 1e-09.*a\.jsonl"):
        read_training_entries(data)
    with pytest.raises(ValueError, match="share"):
        replace(data, share=0.0)
