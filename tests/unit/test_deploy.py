"""What `deploy/` names is there, and the commands in it are ones that Unblank takes."""

import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from unblank.commands import serve

ROOT = Path(__file__).parents[2]


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_all_that_a_wheel_is_built_of_is_in_the_container():
    project = tomllib.loads(read("pyproject.toml"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    needed = {"pyproject.toml", "constraints.txt", project["project"]["readme"], "src", *included}
    build = read("deploy/Containerfile").rpartition("\nFROM ")[0]
    copied = {
        name for line in re.findall("^COPY (?!--)(.*)", build, re.MULTILINE)
        for name in line.split()[:-1]
    }  # fmt: skip
    let_in = {line[1:] for line in read(".dockerignore").splitlines() if line.startswith("!")}
    assert copied == needed
    assert let_in == needed


def container_command():
    words = []
    for name in ("ENTRYPOINT", "CMD"):
        found = re.search(rf"^{name} (\[.*\])$", read("deploy/Containerfile"), re.MULTILINE)
        words += json.loads(found[1])
    return words


def unit_command():
    (line,) = re.findall("^ExecStart=(.*)$", read("deploy/unblank.service"), re.MULTILINE)
    return shlex.split(line)


@pytest.mark.parametrize("command", [container_command, unit_command])
def test_the_commands_are_understood(command):
    program, name, *words = command()
    assert (Path(program).name, name) == ("unblank", "serve")
    settings = serve.parse(words)
    assert len(settings.models) == 1
    assert settings.grace < 40, "less than what it is given to end"


def test_the_units_wait_longer_than_the_server():
    assert "TimeoutStopSec=40" in read("deploy/unblank.service")
    assert "stop_grace_period: 40s" in read("deploy/compose.yaml")
