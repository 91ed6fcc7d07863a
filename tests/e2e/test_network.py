"""``network`` of a service on a real machine: what it reaches, who reaches it, and what our probe may reach."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from installkit import Spec
from targetkit import Target, good
from waiting import until

from bundler.machine import Machine, boot, rootfs

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.e2e

ADDRESSES = ("127.0.0.1", "10.8.0.1", "10.9.0.1")
# Tries each address, then answers on every one of the machine's.
PROGRAM = (
    # what is dropped is not answered
    'for at in {addresses}; do ! timeout 1 bash -c "exec 3<>/dev/tcp/$at/7000" || echo $at; done >{{state}}/$0.part; '
    "mv {{state}}/$0.part {{state}}/$0; exec /bin/busybox httpd -f -p 0.0.0.0:$1 -h /srv"
)
SERVICE = """\
[services.{service}]
command = ["/bin/bash", "-c", '{program}', "{service}", "{port}"]
profile = "generic"
"""
SERVICES = {
    "alone": 'network = "none"\nhealth = { command = ["/bin/true"] }\n',
    "near": 'network = "loopback"\nhealth = { http = "http://127.0.0.1:8001/", status = 404 }\n',
    "some": 'network = ["10.8.0.0/16"]\nhealth = { http = "http://10.8.0.1:8002/", status = 404 }\n',
    "free": 'health = { http = "http://127.0.0.1:8003/", status = 404 }\n',
}


def spec() -> Spec:
    program = PROGRAM.format(addresses=" ".join(ADDRESSES))
    return Spec(
        services=tuple(SERVICES),
        tables="".join(
            SERVICE.format(service=service, program=program, port=8000 + number) + keys
            for number, (service, keys) in enumerate(SERVICES.items())
        ),
    )


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        # systemd's filters are BPF programs, which our machines may not load
        patch.setattr(boot, "_NSPAWN", (*boot._NSPAWN, "--system-call-filter=bpf"))
        machine = stack.enter_context(Machine(rootfs("bookworm", include=("busybox",))))
        for address in ADDRESSES[1:]:
            assert machine.run_on_its_network("ip", "address", "add", f"{address}/32", "dev", "lo").status == 0
        machine.run("systemd-run", "--quiet", "busybox", "httpd", "-f", "-p", "0.0.0.0:7000", "-h", "/srv", check=True)
        target = Target(machine, tmp_path_factory.mktemp("bundles"))
        good(target, spec())
        yield target


@pytest.mark.parametrize(
    ("service", "reached"),
    [("alone", ()), ("near", ADDRESSES[:1]), ("some", ADDRESSES[:2]), ("free", ADDRESSES)],
)
def test_a_service_reaches_what_its_network_says(target: Target, service: str, reached: tuple[str, ...]) -> None:
    assert until(lambda: target.machine.read(f"/var/lib/hello/{service}") is not None)
    assert tuple(target.sh(f"cat /var/lib/hello/{service}").split()) == reached


@pytest.mark.parametrize(("port", "answering"), [(8000, ()), (8001, ADDRESSES[:1]), (8002, ADDRESSES[:2])])
def test_a_service_is_reached_from_where_its_network_says(
    target: Target, port: int, answering: tuple[str, ...]
) -> None:
    tries = {at: target.machine.run("timeout", "2", "bash", "-c", f"exec 3<>/dev/tcp/{at}/{port}") for at in ADDRESSES}
    assert tuple(at for at, answer in tries.items() if answer.status == 0) == answering
