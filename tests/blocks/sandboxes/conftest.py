"""The engine of the host side's tests, and an image with the fake zygote."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import pytest

from blocks.settings import settings
from tests.blocks.sandboxes.engines import build, remove_image
from tests.blocks.sandboxes.support import FAKE


@pytest.fixture(scope="module")
def fake_image(request: pytest.FixtureRequest) -> Iterator[str]:
    """Of the module's own: others are built and removed beside it."""
    tag = f"trigpoint-sandbox-fake:{request.module.__name__.rpartition('.')[2]}"
    lines = [
        f"FROM {settings().sandbox_image}",
        "COPY fake /opt/trigpoint/fake_zygote.py",
        'ENTRYPOINT ["/opt/venv/bin/python", "-s", "-P", "/opt/trigpoint/fake_zygote.py"]',
    ]
    build(tag, "\n".join(lines), fake=FAKE.read_bytes())
    yield tag
    remove_image(tag)


@pytest.fixture
def client() -> Iterator[docker.APIClient]:
    made = docker.APIClient()
    yield made
    made.close()
