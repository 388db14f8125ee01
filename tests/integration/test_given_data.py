"""Data in memory: written when all else is right, and gone again if the call is refused."""

import errno
import json
import math
from pathlib import Path

import numpy
import pandas
import pytest
from given_files import as_files
from tiny_models import tiny_unblank

import unblank
from unblank.in_memory import GivenData

ROWS = [{"text": "the old grey cat sat on a warm mat. " * 9}]


class PathLike:
    """A path of another library."""

    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return str(self.path)


class PolarsLike:
    """What this library asks of a polars frame, which is no dependency of the tests."""

    columns = ("text",)

    def __init__(self, rows):
        self.rows = rows

    def to_dict(self, *, as_series=True):
        raise AssertionError("pandas' way to give rows")

    def to_dicts(self):
        return self.rows


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given") / "model"
    tiny = tiny_unblank("bpe")
    tiny.model.save_pretrained(folder)
    tiny.tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    "options",
    [{"bogus": 1}, {"limit": -1}, {"retrieve": "x"}, {"window": 10**6}, {"file": [ROWS, "absent"]}],
)
def test_a_refused_measurement_leaves_nothing_behind(options, model):
    with pytest.raises((ValueError, FileNotFoundError)):
        unblank.evaluate(model, **{"file": ROWS, "device": "cpu", **options})
    assert not (model / "evaluations").exists()


def test_a_model_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(FileNotFoundError):
        unblank.evaluate(tmp_path / "a" / "b", file=ROWS)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    "settings",
    [
        {"data": {"train": ROWS, "trian": 1}},
        {"data": {"train": ROWS}, "model": {"init_from": "/nowhere/at/all"}},
        {"data": {"train": [*ROWS, "absent.txt"]}},
    ],
)
def test_a_refused_training_leaves_nothing_behind(settings, tmp_path):
    with pytest.raises((ValueError, FileNotFoundError, TypeError)):
        unblank.pretrain(train={"output_dir": tmp_path / "a" / "b"}, **settings)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("place", ["checkpoints/step-2", "run.yaml"])
@pytest.mark.parametrize("is_known", [False, True])
def test_data_stays_beside_a_run_that_may_go_on(place, is_known, tmp_path):
    """Such as one that ended as the disk was full, whose checkpoint is read with its data."""
    data = GivenData(tmp_path / "run" / "data")
    path = Path(data.named(ROWS, "train"))
    (tmp_path / ("run/checkpoints/step-1" if is_known else "other")).mkdir(parents=True)

    def run():
        written = tmp_path / "run" / place
        written.parent.mkdir(exist_ok=True)
        written.touch()
        raise OSError(errno.ENOSPC, "full")

    with pytest.raises(OSError, match="full"), data.written():
        run()
    assert path.is_file()
    path.unlink()
    with pytest.raises(ValueError, match="refused"), data.written():
        raise ValueError("refused")
    assert not path.exists()


def test_what_a_frame_lacks_is_null(tmp_path):
    frame = pandas.DataFrame(
        {
            "text": ["a", None, pandas.NA],
            "day": [pandas.NaT] * 3,
            "size": [1.5, math.nan, numpy.nan],
            "list": [[1, 2], [None], None],
        }
    )
    lines = Path(as_files(frame, tmp_path, "train")).read_text().splitlines()
    assert list(map(json.loads, lines)) == [
        {"text": "a", "day": None, "size": 1.5, "list": [1, 2]},
        {"text": None, "day": None, "size": None, "list": [None]},
        {"text": None, "day": None, "size": None, "list": None},
    ]


@pytest.mark.parametrize("value", [math.nan, math.inf, numpy.float64("nan")])
def test_numbers_that_are_none_are_no_missing_values_of_dicts(value, tmp_path):
    with pytest.raises(ValueError, match=r"row 2 of data\.train: 'size'.*None"):
        as_files([{"size": 1.0}, {"size": value}], tmp_path, "data.train")


def test_rows_are_named_by_the_setting_that_holds_them():
    for section, name in (("train", "data.train"), ("validation", "data.validation")):
        with pytest.raises(ValueError, match=rf"row 1 of {name}\b"):
            unblank.pretrain(data={section: [{"text": "a\ud800"}]})


def test_frames_of_polars_are_data(tmp_path):
    assert as_files(PolarsLike(ROWS), tmp_path, "a") == as_files(ROWS, tmp_path, "a")


def test_paths_of_other_libraries_are_paths_everywhere(model, tmp_path):
    (tmp_path / "in.txt").write_text("the [MASK] sat.\n")
    given, output = PathLike(tmp_path / "in.txt"), PathLike(tmp_path / "out.jsonl")
    options = {"max_tokens": 2, "device": "cpu"}
    assert len(unblank.fill_file(PathLike(model), given, output, **options)) == 1
    (tmp_path / "long.txt").write_text(ROWS[0]["text"])
    assert unblank.evaluate(model, file=PathLike(tmp_path / "long.txt"), device="cpu").scores
    with pytest.raises(FileNotFoundError, match="nowhere"):
        unblank.pretrain(
            data={"train": given}, model={"init_from": PathLike("/nowhere")},
            train={"output_dir": PathLike(tmp_path / "run")},
        )  # fmt: skip


@pytest.mark.parametrize("given", ["a long text " * 100, ["a long text " * 100], "a/" * 3000])
def test_a_text_in_place_of_a_file_is_named(given, tmp_path):
    with pytest.raises(ValueError, match=r"^data\.train\b"):
        unblank.pretrain(data={"train": given}, train={"output_dir": tmp_path / "run"})


@pytest.mark.parametrize("text", ["", " \n"])
def test_nothing_to_show_is_an_empty_text_and_no_path(text):
    with pytest.raises(ValueError, match=r"^text\b"):
        unblank.show(text)
