"""Loopback is spared from proxies, whatever NO_PROXY says, as the libraries that read it see it."""

from __future__ import annotations

import urllib.request

import httpx
import pytest
import requests.utils
from hypothesis import given
from hypothesis import strategies as st

from blocks.proxies import NAMES, is_loopback, proxy_of, spare_loopback, wrong_proxy

PROXY = "http://proxy.example:3128"
HOSTS = st.from_regex(r"[a-z]{1,8}(\.[a-z]{2,5}){1,2}", fullmatch=True)
ADDRESSES = ["http://127.0.0.1:4200/api", "http://localhost:11434", "http://[::1]:8000/v1", "http://127.0.3.7:81/x"]


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*NAMES, "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def proxied(url: str) -> dict[str, bool]:
    """Whether each library would go through a proxy."""
    with httpx.Client() as client:
        pool = client._transport_for_url(httpx.URL(url))._pool  # type: ignore[attr-defined]
    parts = httpx.URL(url)
    return {
        "httpx": "Proxy" in type(pool).__name__,
        "urllib": not urllib.request.proxy_bypass(f"{parts.host}:{parts.port}"),
        "requests": bool(requests.utils.get_environ_proxies(url)),
    }


@pytest.mark.parametrize("name", [spelt for name in NAMES for spelt in (name, name.lower())])
@pytest.mark.parametrize("before", [{}, {"no_proxy": ""}, {"NO_PROXY": "a.example"}, {"no_proxy": "a.example, .b"}])
def test_no_library_asks_a_proxy_for_loopback(
    name: str, before: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in {name: PROXY, **before}.items():
        monkeypatch.setenv(key, value)
    # So that what is changed is put back after the test.
    for key in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(key, before.get(key, ""))
        if key not in before:
            monkeypatch.delenv(key)
    spare_loopback(*ADDRESSES)
    for address in ADDRESSES:
        assert not any(proxied(address).values()), address
    assert any(proxied(f"{scheme}://elsewhere.example/x")["httpx"] for scheme in ("http", "https"))
    if "a.example" in "".join(before.values()):
        assert not proxied("http://a.example/x")["httpx"], "what the user spared stays spared"


@given(st.lists(HOSTS), st.sampled_from(["NO_PROXY", "no_proxy"]))
def test_what_the_user_has_put_there_stays_in_its_order(hosts: list[str], name: str) -> None:
    environ = {"HTTPS_PROXY": PROXY, name: ", ".join(hosts)}
    spare_loopback(environ=environ)
    once = dict(environ)
    spare_loopback(environ=environ)
    assert environ == once, "doing it again changes nothing"
    words = environ[name].split(",")
    assert [word for word in words if word in hosts] == list(dict.fromkeys(hosts))
    assert {"localhost", "127.0.0.1", "::1"} <= set(words)


@pytest.mark.parametrize("environ", [{}, {"HTTP_PROXY": ""}, {"HTTP_PROXY": PROXY, "NO_PROXY": "*"}])
def test_nothing_is_changed_where_nothing_needs_it(environ: dict[str, str]) -> None:
    changed = dict(environ)
    spare_loopback("http://127.0.0.1:1", environ=changed)
    assert changed == environ | ({"NO_PROXY": "*"} if "NO_PROXY" in environ else {})


@given(st.ip_addresses())
def test_loopback_is_what_the_machine_calls_so(address: object) -> None:
    assert is_loopback(str(address)) == address.is_loopback  # type: ignore[attr-defined]


def test_names_of_loopback() -> None:
    assert all(map(is_loopback, ["localhost", "LOCALHOST.", "app.localhost", "127.8.9.1", "[::1]"]))
    assert not any(map(is_loopback, ["localhost.example", "128.0.0.1", "example.org", ""]))


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ("http://proxy:3128", False), ("proxy:3128", False), ("https://user:word@proxy.example", False),
        ("nonsense://x", True), ("http://", True), ("http://x:port", True), ("http://[bad", True), ("  ", True),
        ("htp://proxy", True), ("http://a b:1", True), ("http://user:secret", True),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["HTTP_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_that_is_no_address_is_told(
    name: str, value: str, wrong: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    said = wrong_proxy()
    assert (said is not None) == wrong
    if said is not None:
        assert said.startswith(name)
        assert "secret" not in said


@pytest.mark.parametrize(
    ("address", "named"),
    [
        ("https://api.example/v1", "HTTPS_PROXY"),
        ("http://api.example/v1", "all_proxy"),
        ("http://127.0.0.2:9/v1", ""),
        ("https://localhost/v1", ""),
    ],
)
def test_the_proxy_of_an_address_is_that_of_its_scheme(
    monkeypatch: pytest.MonkeyPatch, address: str, named: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("all_proxy", "http://proxy.example:3128")
    assert proxy_of(address) == named
