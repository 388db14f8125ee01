"""Foreign torch files: what real checkpoints hold is read, and nothing is ever executed."""

import os
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
import torch

from unblank.conversion.torch_files import read_torch_file


class Payload:
    """Unpickled, it would create a file."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def test_a_hostile_pickle_is_refused_by_name_and_does_not_run(tmp_path):
    marker, path = tmp_path / "executed", tmp_path / "hostile.pt"
    torch.save({"module": {"weight": torch.ones(2)}, "state": Payload(marker)}, path)
    with pytest.raises(ValueError, match=r"\w+\.mkdir\b"):
        read_torch_file(path)
    assert not marker.exists()
    # The same file does run where pickles are trusted: the payload is a real one.
    torch.load(path, weights_only=False)
    assert marker.exists()


def test_a_bare_pickle_is_not_executed_either(tmp_path):
    marker, path = tmp_path / "executed", tmp_path / "hostile.pt"
    path.write_bytes(pickle.dumps(Payload(marker), protocol=2))
    with pytest.raises(ValueError, match=r"hostile\.pt"):
        read_torch_file(path)
    path.write_bytes(pickle.dumps(Payload(marker), protocol=4))  # which torch does not write
    with pytest.raises(ValueError, match=r"hostile\.pt.*torch\.save"):
        read_torch_file(path)
    assert not marker.exists()


def test_compressed_archives_are_refused_before_they_unfold(tmp_path):
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 50_000_000)
        archive.writestr("archive/version", b"3\n")
    assert path.stat().st_size < 100_000
    with pytest.raises(ValueError, match=r"bomb\.pt.*50,\d+,\d+ bytes"):
        read_torch_file(path)


def test_tensors_that_repeat_few_bytes_are_refused(tmp_path):
    torch.save({"module": {"w": torch.ones(1).expand(10**6, 10**6)}}, tmp_path / "stride.pt")
    with pytest.raises(ValueError, match=r"stride\.pt.*1000000, 1000000"):
        read_torch_file(tmp_path / "stride.pt")
    one = torch.ones(10_000)
    torch.save({"module": {f"w{i}": one for i in range(50)}}, tmp_path / "alias.pt")
    with pytest.raises(ValueError, match=r"alias\.pt .* times"):
        read_torch_file(tmp_path / "alias.pt")


@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.98])
def test_a_truncated_file_is_called_so(tmp_path, kept):
    path = tmp_path / "cut.pt"
    torch.save({"module": {"w": torch.ones(1000)}}, path)
    content = path.read_bytes()
    path.write_bytes(content[: kept if kept > 1 else int(len(content) * kept)])
    with pytest.raises(ValueError, match=r"cut\.pt"):
        read_torch_file(path)


def test_what_published_checkpoints_hold_besides_weights_is_read(tmp_path):
    from argparse import Namespace

    rng = np.random.RandomState(3).get_state()
    content = {"args": Namespace(heads=4), "np_rng_state": rng, "names": {"a", "b"}}
    torch.save(content | {"module": {"w": torch.ones(2)}}, tmp_path / "real.pt")
    read = read_torch_file(tmp_path / "real.pt")
    assert read["args"].heads == 4
    assert read["names"] == {"a", "b"}
    assert (read["np_rng_state"][1] == rng[1]).all()


def test_files_of_old_torch_versions_are_read(tmp_path):
    weights = torch.arange(6.0).reshape(2, 3)
    torch.save({"w": weights}, tmp_path / "old.bin", _use_new_zipfile_serialization=False)
    assert torch.equal(read_torch_file(tmp_path / "old.bin")["w"], weights)


def test_a_pointer_left_by_git_lfs_is_recognised(tmp_path):
    path = tmp_path / "pytorch_model.bin"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n")
    with pytest.raises(ValueError, match="git-lfs pointer"):
        read_torch_file(path)


def test_a_tar_file_is_refused_without_advice_to_execute_it(tmp_path):
    path = tmp_path / "model.pt"
    with tarfile.open(path, "w"):
        pass
    with pytest.raises(ValueError, match=r"model\.pt .*\btar\b"):
        read_torch_file(path)
