"""Runs transformers' common tests on our models and prints what fails, by test and class."""

import argparse
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter, defaultdict
from pathlib import Path

from expected_failures import reason_for
from mixin_sources import FROM_REPOSITORY, REPOSITORY, fetch_mixins, missing_modules

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parent.parent / "build" / "transformers-tests"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-k", default="", help="which tests, as for pytest")
    parser.add_argument("--checkout", type=Path, help="a git checkout of transformers' repository")
    arguments = parser.parse_args()
    fetch_mixins(FOLDER, arguments.checkout)
    missing = missing_modules(FOLDER)
    report = FOLDER / "report.xml"
    report.unlink(missing_ok=True)
    run_pytest(report, arguments.k)
    failed, counts = read_report(report)
    print_counts(counts)
    unexpected = print_failures(failed)
    for name in missing:
        print(
            f"the tests of {FROM_REPOSITORY[name]} were not run: {name} is not in the distribution "
            f"and was not found; give --checkout FOLDER, a git checkout of {REPOSITORY}"
        )
    return 1 if unexpected else 0


def run_pytest(report: Path, which: str) -> None:
    paths = [str(FOLDER), str(FOLDER / "lib"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "HF_HUB_OFFLINE": "1"}
    options = ("-c", os.devnull, "--rootdir", str(FOLDER), "--noconftest", "-p", "no:cacheprovider")
    command = [sys.executable, "-m", "pytest", *options, "-q", "--tb=short", "-W", "ignore"]
    command += [f"--junitxml={report}", "-k", which, str(HERE / "mixin_classes.py")]
    subprocess.run(command, env=environment, check=False)


def read_report(report: Path) -> tuple[dict[str, dict[str, str]], dict[str, Counter[str]]]:
    """Return test -> class -> message of what failed, and class -> how many ran and so on."""
    failed: dict[str, dict[str, str]] = defaultdict(dict)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for case in ElementTree.parse(report).iter("testcase"):
        class_name = case.get("classname", "").rpartition(".")[2].removesuffix("Test")
        found = case.find("failure") if case.find("failure") is not None else case.find("error")
        if found is None and case.find("skipped") is not None:
            counts[class_name]["skipped"] += 1
            continue
        counts[class_name]["run"] += 1
        if found is not None:
            counts[class_name]["failed"] += 1
            failed[case.get("name", "")][class_name] = found.get("message", "").split("\n")[0]
    return failed, counts


def print_counts(counts: dict[str, Counter[str]]) -> None:
    """Print how many tests ran, failed and were skipped, by class and in all."""
    kinds = ("run", "failed", "skipped")
    print(f"{'class':36}" + "".join(f"{kind:>9}" for kind in kinds))
    total: Counter[str] = sum(counts.values(), Counter())
    for class_name, count in [*counts.items(), ("all", total)]:
        print(f"{class_name:36}" + "".join(f"{count[kind]:>9,}" for kind in kinds))


def print_failures(failed: dict[str, dict[str, str]]) -> int:
    """Print what failed, and return how many of it are not expected."""
    num_unexpected = 0
    for name, by_class in sorted(failed.items()):
        for class_name, message in sorted(by_class.items()):
            reason = reason_for(class_name, name)
            num_unexpected += reason is None
            note = f"known: {reason}" if reason else message[:100]
            print(f"{class_name:36} {name:60} {note}")
    print(f"{num_unexpected} failed without being expected to")
    return num_unexpected


if __name__ == "__main__":
    sys.exit(main())
