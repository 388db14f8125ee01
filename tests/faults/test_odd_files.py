"""Odd files and folders: each is read whole, or refused with file, line and what to do."""

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import random
import re
import warnings
from pathlib import Path

import pytest
from counts import hard_count
from hypothesis import given
from hypothesis import strategies as st

from unblank.data.csv_rows import read_csv_rows
from unblank.data.drawing import draw_from_files
from unblank.data.fields import is_visible
from unblank.data.files import files_of_entries, find_files
from unblank.data.formats import FORMATS, format_of
from unblank.data.lines import read_lines
from unblank.data.records import read_records
from unblank.data.sources import TextFiles
from unblank.finetuning.pairs.entries import read_entries
from unblank.finetuning.pairs.text import read_text_pairs
from unblank.finetuning.settings import FinetuneDataSettings
from unblank.prompting.verbalizers import parse_verbalizer, require_label

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def written(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def texts_of(*paths, **how) -> list[str]:
    return list(TextFiles(paths=find_files(paths), **how))


def error_of(path: Path, **how) -> str:
    with pytest.raises(ValueError, match=re.escape(str(path))) as refused:
        texts_of(path, **how)
    return str(refused.value)


# Folders


def test_a_folder_is_walked_by_one_rule_and_what_is_passed_over_is_counted(tmp_path):
    corpus = tmp_path / "corpus"
    line = json.dumps({"text": "one two"})
    for name, content in {
        "B.TXT": b"one two",
        "a.txt": b"one two",
        "c.json": line.encode(),
        "e.JSONL": line.encode(),
        "f.txt.bz2": bz2.compress(b"one two"),
        "g.jsonl.XZ": lzma.compress(line.encode()),
        "h.ndjson": line.encode(),
        "sub/i.csv": b"text\none two\n",
        "sub/j.tsv.gz": gzip.compress(b"text\none two\n", mtime=0),
        ".ipynb_checkpoints/a-checkpoint.txt": b"copy",
        ".hidden.txt": b"hidden",
        "wiki_00": b"one two",
        "picture.png": b"\x89PNG",
    }.items():
        written(corpus / name, content)
    (corpus / "again.txt").symlink_to(corpus / "a.txt")
    os.link(corpus / "a.txt", corpus / "hard.txt")
    (corpus / "sub" / "loop").symlink_to(corpus)
    (corpus / "lost.txt").symlink_to(tmp_path / "nowhere.txt")
    with pytest.warns(UserWarning, match="9 files to read; passed over 8") as notes:
        paths = find_files(corpus)
    assert len(paths) == 9
    note = str(notes[0].message)
    for part in ("hidden 2", "other endings 2", "the same file again 3", "broken links 1"):
        assert part in note
    assert list(TextFiles(paths=paths, text_unit="line")) == ["one two"] * 9
    assert texts_of(corpus / "wiki_00", text_unit="line") == ["one two"]
    assert texts_of(f"{corpus}/wiki_*") == ["one two"]


def test_a_link_to_nowhere_is_counted_and_named(tmp_path):
    written(tmp_path / "a.txt", "a")
    (tmp_path / "b.txt").symlink_to("gone.txt")
    with pytest.warns(UserWarning, match=r"passed over 1: broken links 1 .*b\.txt"):
        assert find_files(f"{tmp_path}/*.txt") == (tmp_path / "a.txt",)
    with pytest.raises(FileNotFoundError, match=r"b\.txt.*gone\.txt"):
        find_files(tmp_path / "b.txt")


def test_a_linked_folder_is_followed(tmp_path):
    written(tmp_path / "elsewhere" / "a.txt", "a")
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "link").symlink_to(tmp_path / "elsewhere")
    assert find_files(tmp_path / "corpus") == (tmp_path / "corpus" / "link" / "a.txt",)


def test_a_folder_of_files_without_endings_says_how_to_read_them(tmp_path):
    written(tmp_path / "corpus" / "AA" / "wiki_00", "x")
    with pytest.raises(FileNotFoundError, match="wiki_00"):
        find_files(tmp_path / "corpus")


def test_the_table_of_formats_is_that_of_the_docs():
    page = Path(__file__).resolve().parents[2] / "docs" / "data.md"
    rows = [
        [cell.strip().replace("`", "") for cell in line.strip("|").split("|")]
        for line in page.read_text(encoding="utf-8").splitlines()
        if line.startswith("| `.")
    ]
    expected = [
        [", ".join(form.endings), form.document.replace("`", ""), form.record.replace("`", "")]
        for form in FORMATS.values()
    ]
    assert [row for row in rows if len(row) == 3] == expected


# Lines

ODD = "\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
"""Characters at which other readers divide lines."""


@given(st.lists(st.text(st.sampled_from("a b" + ODD), min_size=1), min_size=1, max_size=5))
def test_only_newlines_divide_lines_in_every_format(tmp_path_factory, lines):
    lines = [f"a{line}b" for line in lines]
    folder = tmp_path_factory.mktemp("lines")
    for end in ("\n", "\r\n"):
        path = written(folder / "a.txt", end.join(lines))
        assert [line.removesuffix("\n") for line in read_lines(path)] == lines
        path = written(folder / "a.tsv", end.join(["text\tn", *(f"{one}\t1" for one in lines)]))
        assert [record["text"] for _, record in read_records(path)] == lines
        path = written(folder / "a.csv", end.join(["text,n", *(f"{one},1" for one in lines)]))
        assert [record["text"] for _, record in read_records(path)] == lines
        source = written(folder / "a.en", end.join(lines))
        target = written(folder / "a.de", end.join(lines))
        pairs = read_text_pairs(f"{source}:{target}", "source", "target")
        assert [pair.source for pair in pairs] == lines


# Tables


@given(
    st.lists(
        st.lists(st.text(st.sampled_from('ab",\n\u2028 '), max_size=5), min_size=2, max_size=2),
        max_size=4,
    )
)
def test_what_the_standard_library_writes_is_read_back(rows):
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator="\n").writerows(rows)
    lines = [line + "\n" for line in file.getvalue().split("\n")[:-1]]
    assert [row for _, row in read_csv_rows(lines)] == rows


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('en,de\na,b\n"two,c\nd,e\n"f,g\n', 3),
        ('en,de\na "b",c\n', 2),
        ('en,de\n5" disk,c\n', 2),
        ('en,de\n"a" ,c\n', 2),
        ('en,de\n"a\nb",c\n"d,e\n', 4),
        ('en,de\n"a\nb",c\nd,e,f\n', 4),
    ],
)
def test_a_stray_quote_is_refused_where_its_record_begins(tmp_path, content, line):
    path = written(tmp_path / "a.csv", content)
    with pytest.raises(ValueError, match=rf"a\.csv, line {line}: "):
        read_text_pairs(f"{path}:en:de", "s", "t")


def test_the_place_of_a_record_is_its_first_line(tmp_path):
    path = written(tmp_path / "a.csv", 'text\n"one\ntwo"\nthree\n')
    places = [place for place, _ in read_records(path)]
    assert places == [f"{path}, line 2", f"{path}, line 4"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "text,text\na,b\n"),
        ("a.tsv", "text\ttext\na\tb\n"),
        ("a.jsonl", '{"text": "a", "text": "b"}\n'),
        ("a.json", '[{"text": "a", "text": "b"}]'),
    ],
)
def test_a_name_twice_is_refused(tmp_path, name, content):
    assert "'text'" in error_of(written(tmp_path / name, content))


def test_columns_of_every_type_of_text_are_read(tmp_path):
    texts = ["one two three", "four five six", "one two three"]
    path = tmp_path / "a.parquet"
    for kind in (
        pyarrow.string(),
        pyarrow.large_string(),
        pyarrow.dictionary(pyarrow.int8(), pyarrow.string()),
    ):
        parquet.write_table(pyarrow.table({"text": pyarrow.array(texts).cast(kind)}), path)
        assert texts_of(path) == texts
    columns = [pyarrow.array(texts)] * 2
    parquet.write_table(pyarrow.Table.from_arrays(columns, names=["text", "text"]), path)
    assert "2 columns have the name 'text'" in error_of(path)


@pytest.mark.parametrize("use_dictionary", [True, False])
def test_columns_of_string_views_are_text(tmp_path, use_dictionary):
    texts = ["short", "longer than the twelve bytes of a view", "", None, "\u4e00\u5929"]
    path = tmp_path / "a.parquet"
    column = pyarrow.array(texts, pyarrow.string_view())
    try:
        table = pyarrow.table({"text": column, "other": column})
        parquet.write_table(table, path, use_dictionary=use_dictionary)
    except pyarrow.ArrowNotImplementedError:
        pytest.skip("this pyarrow writes no views")
    assert [record["text"] for _, record in read_records(path, ("text",))] == texts
    assert texts_of(path) == [texts[0], texts[1], texts[4]]


def test_nested_fields_are_named_with_dots(tmp_path):
    records = [{"translation": {"en": f"rain {n}", "de": f"Regen {n}"}} for n in range(3)]
    lines = written(tmp_path / "a.jsonl", "\n".join(map(json.dumps, records)))
    array = written(tmp_path / "a.json", json.dumps(records, indent=2))
    table = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(records), table)
    for path in (lines, array, table):
        pairs = read_text_pairs(f"{path}:translation.en:translation.de", "s", "t")
        assert [pair.targets for pair in pairs] == [(f"Regen {n}",) for n in range(3)]
        assert texts_of(path, text_field="translation.en") == [f"rain {n}" for n in range(3)]
    with pytest.raises(ValueError, match=r"'translation\.de'.*'translation\.en'"):
        read_text_pairs(f"{lines}:en:translation.de", "s", "t")


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ('[{"text": "a"},\n {"text": "b"}]', [1, 2]),
        ('{"text": "a"}\n{"text": "b"}\n', [1, 2]),
        ('{"text":\n "a"}\n{"text": "b"}\n', [1, 3]),
        ("[]", []),
        ("", []),
    ],
)
def test_objects_of_a_json_file_are_found_with_their_lines(tmp_path, content, lines):
    path = written(tmp_path / "a.json", content)
    assert [place for place, _ in read_records(path)] == [f"{path}, line {n}" for n in lines]


@pytest.mark.parametrize(
    "content", ['[{"text": "a"}', '[{"text": "a"} {"text": "b"}]', "[1]", '[{"text": "a"}] x', "{"]
)
def test_broken_json_is_refused_by_name(tmp_path, content):
    assert "JSON" in error_of(written(tmp_path / "a.json", content))


@pytest.mark.parametrize(("label", "index"), [("0", 0), ("1", 1), ("1.0", 1), ("1e0", 1)])
def test_labels_of_one_value_are_one_label(label, index):
    assert require_label(label, ("0.0", "1.0")) == index


def test_labels_are_compared_exactly_and_however_letters_are_encoded():
    assert require_label("cafe\u0301", ("x", "caf\u00e9")) == 1
    with pytest.raises(ValueError, match="9007199254740993"):
        require_label("9007199254740993", ("9007199254740992", "x"))


@pytest.mark.parametrize("twice", [("0", "0.0"), ("1", "1e0"), ("caf\u00e9", "cafe\u0301")])
def test_a_verbalizer_has_each_label_once(twice):
    with pytest.raises(ValueError, match="are the same") as caught:
        parse_verbalizer({label: f"word {place}" for place, label in enumerate(twice)})
    assert all(repr(label) in str(caught.value) for label in twice)


# Encodings

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12345\n"


@pytest.mark.parametrize(
    ("content", "advised", "not_advised"),
    [
        ("good caf\u00e9\n".encode() * 50 + b"bad caf\xe9\n", "50 are UTF-8 and 1 not", "iconv"),
        (b"bad caf\xe9\n" + "good caf\u00e9\n".encode() * 50, "do not convert", "iconv"),
        (b"caf\xe9\n" * 3, "iconv -f LATIN1", "UTF-16"),
        (b"\x93caf\xe9\x94\n", "iconv -f WINDOWS-1252", "LATIN1"),
        (
            "\u043f\u0440\u0438\u0432\u0435\u0442 [MASK] abc\n".encode("koi8-r"),
            "find out",
            "LATIN1",
        ),
        ("[MASK] \u03ba\u03b1\u03bb\u03ac ok?\n".encode("iso8859-7"), "find out", "LATIN1"),
        (b"a NUL: \xc0\x80\n", "two bytes", "LATIN1"),
        (gzip.compress(b"text", mtime=0), "gzip file: let its name end in .gz", "iconv"),
        (bz2.compress(b"text" * 99), "end in .bz2", "iconv"),
        (lzma.compress(b"text"), "end in .xz", "iconv"),
        (b"PK\x03\x04\x14\x00\xff\xfe", "zip file", "iconv"),
        (b"a \xed\xa0\xbd\xed\xb8\x80\n", "CESU-8", "LATIN1"),
        (b"a \xed\xa0\xbd\xed\xb8\x80 caf\xe9\n", "correct or remove", "CESU"),
        ("caf\u00e9\n".encode() * 9 + b"\xed\xa0\xbd\xed\xb8\x80\n", "uconv -f CESU-8", "do not"),
        ("\U0001f600\n".encode() * 9 + b"\xed\xa0\xbd\xed\xb8\x80\n", "do not convert", "> NEW"),
        (lzma.compress(b"text", format=lzma.FORMAT_ALONE), "lzma file: unpack", "Java"),
        (b"a.txt" + bytes(252) + b"ustar\0text\n", "tar archive: unpack", "UTF-8"),
        (b"PK\x03\x04\x14\0\0\n", "zip file", "UTF-8"),
        (POINTER, "git lfs pull", "UTF-8"),
        (b"a \xed\xa0\xbd\n", "half of a surrogate pair", "iconv"),
        ("plain".encode("utf-16-le"), "iconv -f UTF-16LE", "LATIN1"),
        ("plain".encode("utf-16-be"), "iconv -f UTF-16BE", "LATIN1"),
        ("\u043f\u0440\u0438\u0432\u0435\u0442".encode("koi8-r"), "find out", "LATIN1"),
    ],
)
def test_the_advice_fits_the_file(tmp_path, content, advised, not_advised):
    message = error_of(written(tmp_path / "a.txt", content))
    assert advised in message
    assert not_advised not in message


def test_the_command_that_is_advised_can_be_run(tmp_path):
    content = gzip.compress("caf\u00e9\n".encode("utf-16"), mtime=0)
    message = error_of(path := written(tmp_path / "a b.txt.gz", content))
    assert message.endswith(f"convert it: gzip -dc '{path}' | iconv -f UTF-16 -t UTF-8 > NEW")


@pytest.mark.parametrize(
    ("ending", "content", "said"),
    [
        (".gz", b"plain text\n", "no gzip file"),
        (".bz2", gzip.compress(b"text", mtime=0), "a gzip file: let its name end in .gz"),
        (".xz", POINTER, "git lfs pull"),
        (".gz", gzip.compress(POINTER, mtime=0), "git lfs pull"),
        (".gz", gzip.compress(b"text", mtime=0)[:1], "damaged or truncated gzip"),
        (".xz", lzma.compress(b"text" * 99)[:-1], "damaged or truncated xz"),
    ],
)
def test_a_file_that_is_not_what_its_ending_says_is_called_so(tmp_path, ending, content, said):
    assert said in error_of(written(tmp_path / f"a.txt{ending}", content))


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.json", "a.csv", "a.parquet", "a.arrow"])
def test_a_pointer_in_place_of_data_is_called_so(tmp_path, name):
    assert "git lfs pull" in error_of(written(tmp_path / name, POINTER))


@pytest.mark.parametrize("text", ["\u200b", "\ufeff\u2060", "\u00ad", " \u3164 ", "\ufe0f", "\t\0"])
def test_a_text_that_shows_nothing_is_empty(tmp_path, text):
    assert not is_visible(text)
    path = written(tmp_path / "a.jsonl", json.dumps({"en": "rain", "de": text}))
    with pytest.raises(ValueError, match=r"line 1: .*'de'.* empty"):
        read_text_pairs(f"{path}:en:de", "s", "t")
    files = TextFiles(paths=(written(tmp_path / "b.jsonl", json.dumps({"text": text})),))
    assert (list(files), files.num_empty) == ([], 1)


# What is measured


def test_a_limit_takes_a_fixed_share_of_every_file():
    places = [f"{name}.txt, line {n}" for name in "abc" for n in range(40)]
    drawn = draw_from_files(places, 12, str)
    assert drawn == draw_from_files(places, 12, str)
    assert [sum(place.startswith(name) for place in drawn) for name in "abc"] == [4, 4, 4]
    assert drawn == sorted(drawn, key=places.index)
    assert drawn[:4] != places[:4]


def test_a_file_belongs_to_the_first_entry_that_names_it(tmp_path):
    one, other = (written(tmp_path / "d" / name, name) for name in ("a.txt", "b.txt"))
    (tmp_path / "link.txt").symlink_to(one)
    with pytest.warns(UserWarning, match=r"2 files to read; passed over 1: the same file again 1"):
        assert files_of_entries([one, tmp_path / "d"]) == [(one,), (other,)]
    with pytest.warns(UserWarning, match=r"the same file again 3"):
        assert find_files([one, one, tmp_path / "d", tmp_path / "link.txt"]) == (one, other)
    for again in (one, tmp_path / "link.txt", tmp_path / "d" / "a*"):
        with pytest.raises(ValueError, match=re.escape(f"{again} has only files that another")):
            files_of_entries([one, again])


def test_the_same_pairs_are_read_once_in_each_direction(tmp_path):
    line = json.dumps({"en": "rain", "de": "Regen"})
    path = written(tmp_path / "a.jsonl", line)
    sides = [written(tmp_path / name, "one\ntwo\n") for name in ("t.en", "t.de", "t.fr")]
    both = [f"{path}:en:de", f"{path}:de:en", f"{sides[0]}:{sides[1]}", f"{sides[0]}:{sides[2]}"]
    data = FinetuneDataSettings(train=(str(path),))
    assert len(read_entries(data, both, None)) == 4
    for again in (both[0], both[2]):
        with pytest.raises(ValueError, match="another entry"):
            read_entries(data, [*both, again], None)


def test_pipes_are_refused_and_never_opened(tmp_path):
    written(tmp_path / "d" / "a.txt", "a")
    os.mkfifo(tmp_path / "d" / "b.txt")
    with pytest.raises(ValueError, match=r"b\.txt"):
        find_files(tmp_path / "d" / "b.txt")
    with pytest.warns(UserWarning, match="pipes and devices 1"):
        assert find_files(tmp_path / "d") == (tmp_path / "d" / "a.txt",)
    with pytest.raises(ValueError, match=r"/dev/null .*device"):
        find_files("/dev/null")


def test_named_files_need_no_note(tmp_path):
    path = written(tmp_path / "a.txt", "a")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert find_files(path) == (path,)
    assert format_of(path) == "text"


@pytest.fixture
def table(tmp_path) -> Path:
    """A parquet file whose pages have checksums."""
    rows = {"text": [f"the cat {number} sat" for number in range(300)]}
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table(rows), path, write_page_checksum=True)
    return path


def test_a_flipped_bit_in_the_pages_of_a_parquet_file_is_named(table, tally):
    content = table.read_bytes()
    good = texts_of(table)
    end = len(content) - 8 - int.from_bytes(content[-8:-4], "little")  # where the footer begins
    counts = {"named": 0, "harmless": 0}
    for place in range(4, end, end // 40):
        harmed = bytearray(content)
        harmed[place] ^= 1 << place % 8
        table.write_bytes(harmed)
        try:
            assert texts_of(table) == good
            counts["harmless"] += 1
        except ValueError as error:
            counts["named"] += str(table) in str(error)
    tally("damaged tables", tried=sum(counts.values()), **counts)
    assert counts["named"] > 20
    assert sum(counts.values()) >= 40


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def without_its_footer(content: bytes) -> bytes:
    return content[:-200] + b"\xff" * 190 + content[-10:]


def with_another_name(content: bytes) -> bytes:
    """Return it with a column in one of two places where its name stands."""
    return content[::-1].replace(b"txet", b"txes", 1)[::-1]


@pytest.mark.parametrize("harm", [cut, without_its_footer, with_another_name])
def test_a_damaged_footer_of_a_parquet_file_is_named(harm, table):
    table.write_bytes(harm(table.read_bytes()))
    assert error_of(table)


@pytest.mark.parametrize("with_index", [False, True])
def test_damage_to_an_arrow_file_is_named_or_of_values_alone(with_index, tmp_path, tally):
    """Arrow has no checksums, so letters may be others; but no row is lost."""
    ipc = pytest.importorskip("pyarrow.ipc")
    table = pyarrow.table({"text": [f"the cat {number} sat" for number in range(200)]})
    path = tmp_path / "a.arrow"
    with (ipc.new_file if with_index else ipc.new_stream)(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=50)
    content, draw = path.read_bytes(), random.Random(0)
    counts = {"named": 0, "other_letters": 0, "not_named": 0}
    for _ in range(hard_count(150, 4000)):
        path.write_bytes(draw.choice(ARROW_HARMS)(content, draw))
        try:
            count = len(list(read_records(path)))
            assert count == 200
            counts["other_letters"] += 1
        except ValueError as error:
            counts["named" if str(path) in str(error) else "not_named"] += 1
    tally("damaged Arrow files", tried=sum(counts.values()), **counts)
    assert counts["not_named"] == 0
    assert counts["named"] > 20


def bit_flipped(content: bytes, draw: random.Random) -> bytes:
    harmed = bytearray(content)
    harmed[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    return bytes(harmed)


def ended_early(content: bytes, draw: random.Random) -> bytes:
    """Return it with the mark of a stream's end somewhere between its messages."""
    marks = [at.start() for at in re.finditer(b"\xff\xff\xff\xff[^\0]", content)]
    at = draw.choice(marks)
    return content[: at + 4] + bytes(4) + content[at + 8 :]


def other_number(content: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(content) - 4) & ~3
    number = draw.choice([2**31 - 1, -1, -(2**31), 2**24])
    return content[:at] + number.to_bytes(4, "little", signed=True) + content[at + 4 :]


def stretch_lost(content: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(content))
    return content[:at] + content[at + draw.randrange(1, 400) :]


ARROW_HARMS = (bit_flipped, ended_early, other_number, stretch_lost)
