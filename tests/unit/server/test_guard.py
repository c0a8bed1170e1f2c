"""Who may call."""

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from optophone.server.guard import check_host, check_origin, host_name
from optophone.server.problems import Problem


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8080", "127.0.0.1:80", "127.3.2.1", "[::1]:8080", "192.168.1.7:8080", "[fe80::1]"],
)
def test_this_machine_and_plain_addresses_are_let_in(host: str) -> None:
    check_host(host, ())


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "[::1", "a b", "localhost@evil.example"],
)
def test_other_names_are_not(host: str) -> None:
    with pytest.raises(Problem) as refused:
        check_host(host, ("friend.example",))
    assert refused.value.status_code == 403


def test_names_can_be_allowed() -> None:
    check_host("Friend.example:443", ("friend.EXAMPLE",))
    check_host("anything", ("*",))


def test_host_names() -> None:
    assert host_name("[::1]:80") == "::1"
    assert host_name("Name.Example:80") == "name.example"
    assert host_name("[") == ""


@pytest.mark.parametrize("origin", [None, "http://localhost:8080", "https://localhost:8080", "https://friend.example"])
def test_own_pages_and_programs_may_call(origin: str | None) -> None:
    check_origin(origin, "localhost:8080", ("https://friend.example",))


@pytest.mark.parametrize(
    "origin", ["null", "", "http://localhost:81", "http://evil.example", "http://friend.example", "["]
)
def test_other_pages_may_not(origin: str) -> None:
    with pytest.raises(Problem) as refused:
        check_origin(origin, "localhost:8080", ("https://friend.example",))
    assert refused.value.status_code == 403
