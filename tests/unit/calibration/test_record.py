"""What `calibration.json` may say, checked by what is said of it."""

import pytest

from unblank.calibration.maps import JointTemperature
from unblank.calibration.record import (
    CalibratedOn,
    Calibration,
    FillCalibration,
    LabelCalibration,
    calibration_left,
    read_calibration,
)

SOURCE = {"file": "a.csv", "num_fitted": 3, "num_measured": 2, "error_before": 0.2,
          "error_after": 0.1}  # fmt: skip


def test_what_is_written_is_read(tmp_path):
    source = CalibratedOn(**SOURCE)
    labels = {"mails": LabelCalibration(0.5, {"patterns": [0]}, source)}
    made = Calibration("w", FillCalibration(JointTemperature(2.0), source), labels)
    made.write(tmp_path)
    assert read_calibration(tmp_path, "w") == made


@pytest.mark.parametrize("name", ["num_fitted", "num_measured"])
@pytest.mark.parametrize("count", [-1, 0, True, 1.5, 2**63])
def test_nothing_is_learned_from_less_than_one_answer_or_from_what_no_disk_holds(name, count):
    with pytest.raises(ValueError, match="learned from"):
        CalibratedOn(**SOURCE | {name: count})


def test_the_name_of_a_file_neither_breaks_a_line_nor_commands_the_terminal():
    said = str(CalibratedOn(**SOURCE | {"file": "caf\u00e9\ud800\x1b[31m\n.txt"}))
    assert said.isprintable()
    assert "caf\u00e9" in said
    said.encode()


def test_that_a_new_model_is_not_calibrated_is_said_only_where_there_was_a_calibration(tmp_path):
    assert not calibration_left(tmp_path, tmp_path / "new")
    Calibration("w").write(tmp_path)
    assert f"unblank calibrate {tmp_path / 'new'}" in calibration_left(tmp_path, tmp_path / "new")
