"""Runs transformers' common tests on our models and prints what fails, by test and class."""

import argparse
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from pathlib import Path

from expected_failures import EXPECTED
from mixin_sources import fetch_mixins

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parent.parent / "build" / "transformers-tests"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-k", default="", help="which tests, as for pytest")
    parser.add_argument("--checkout", type=Path, help="a git checkout of transformers' repository")
    arguments = parser.parse_args()
    if not (FOLDER / "tests" / "generation" / "test_utils.py").exists():
        fetch_mixins(FOLDER, arguments.checkout)
    report = FOLDER / "report.xml"
    report.unlink(missing_ok=True)
    run_pytest(report, arguments.k)
    failed, counts = read_report(report)
    unexpected = print_table(failed, counts)
    return 1 if unexpected else 0


def run_pytest(report: Path, which: str) -> None:
    paths = [str(FOLDER), str(FOLDER / "lib"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "HF_HUB_OFFLINE": "1"}
    options = ("-c", os.devnull, "--rootdir", str(FOLDER), "--noconftest", "-p", "no:cacheprovider")
    command = [sys.executable, "-m", "pytest", *options, "-q", "--tb=short", "-W", "ignore"]
    command += [f"--junitxml={report}", "-k", which, str(HERE / "mixin_classes.py")]
    subprocess.run(command, env=environment, check=False)


def read_report(report: Path) -> tuple[dict[str, dict[str, str]], dict[str, int]]:
    """Return test -> class -> message of what failed, and how many ran, failed and were skipped."""
    failed: dict[str, dict[str, str]] = defaultdict(dict)
    counts = {"run": 0, "failed": 0, "skipped": 0}
    for case in ElementTree.parse(report).iter("testcase"):
        found = case.find("failure") if case.find("failure") is not None else case.find("error")
        is_skipped = found is None and case.find("skipped") is not None
        counts["skipped" if is_skipped else "run"] += 1
        if found is not None:
            counts["failed"] += 1
            class_name = case.get("classname", "").rpartition(".")[2].removesuffix("Test")
            failed[case.get("name", "")][class_name] = found.get("message", "").split("\n")[0]
    return failed, counts


def print_table(failed: dict[str, dict[str, str]], counts: dict[str, int]) -> int:
    """Print the failures and return how many are not expected."""
    num_unexpected = 0
    for name, by_class in sorted(failed.items()):
        for class_name, message in sorted(by_class.items()):
            reason = EXPECTED.get(class_name, {}).get(name)
            num_unexpected += reason is None
            note = f"known: {reason}" if reason else message[:100]
            print(f"{class_name:36} {name:60} {note}")
    print(", ".join(f"{count} {name}" for name, count in counts.items()), end="; ")
    print(f"{num_unexpected} failed without being expected to")
    return num_unexpected


if __name__ == "__main__":
    sys.exit(main())
