"""The image that every pod runs."""

import re

import pytest
from kustomized import RENDERED, ROOT, containers, pods

from operations.trainjobs import BINARIES, HOME, USER
from tests.test_architecture import RANK

TEXT = (ROOT / "deploy" / "Containerfile").read_text()


def test_it_is_constant_and_holds_every_package() -> None:
    assert not re.search(r"^(ARG|ADD)\b|\$\{?[A-Z]|curl|wget|--build-arg", TEXT, re.MULTILINE)
    copied = set(re.findall(r"^COPY ([a-z_]+) \1$", TEXT, re.MULTILINE))
    assert copied == set(RANK) - {"cli"} | {"client"}


def test_its_user_folders_and_programs_are_those_that_pods_name() -> None:
    assert f"USER {USER}:{USER}" in TEXT
    assert f"--uid {USER}" in TEXT
    assert f"VITRINA_HOME={HOME}" in TEXT
    assert f'ENTRYPOINT ["{BINARIES}/vitrina"]' in TEXT


@pytest.mark.parametrize("name", RENDERED)
def test_pods_of_it_start_its_programs(name: str) -> None:
    for template in pods(name).values():
        for inside in containers(template):
            if "vitrina:" in inside["image"] and "command" in inside:
                assert inside["command"][0] in {f"{BINARIES}/mlflow", f"{BINARIES}/python"}
