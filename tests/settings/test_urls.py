"""Addresses: what may be called, and where we may listen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.settings.urls import AddressError, listener, loopback, target


@pytest.mark.parametrize(
    ("url", "authority", "path"),
    [
        ("https://api.openai.com", "api.openai.com", ""),
        ("https://api.openai.com/", "api.openai.com", ""),
        ("https://openrouter.ai/api/v1/", "openrouter.ai", "/api/v1"),
        ("https://api.example.com:8443/x", "api.example.com:8443", "/x"),
        ("https://API.OpenAI.com:443", "api.openai.com", ""),
        ("https://8.8.8.8", "8.8.8.8", ""),
        ("https://[2606:4700::1111]:444", "[2606:4700::1111]:444", ""),
        ("https://my_name.openai.azure.com", "my_name.openai.azure.com", ""),
    ],
)
def test_public_https(url: str, authority: str, path: str) -> None:
    """A plain https URL of a public host is taken apart."""
    made = target(url, private=False)
    assert (made.authority, made.path, made.secure) == (authority, path, True)


I6_PRIVATE = [
    "http://api.openai.com",
    "https://127.0.0.1",
    "https://10.1.2.3/v1",
    "https://192.168.0.1",
    "https://172.16.0.1",
    "https://100.64.0.1",
    "https://[::1]",
    "https://[fc00::1]",
    "https://localhost",
    "https://ollama:11434",
    "https://llm.internal",
    "https://box.local",
    "https://x.home.arpa",
    "https://svc.ns.svc",
]


@pytest.mark.parametrize("url", I6_PRIVATE)
def test_i6_private_needs_the_word(url: str) -> None:
    """Plain http and private addresses are refused, unless the provider says allow_private."""
    with pytest.raises(AddressError, match="allow_private"):
        target(url, private=False)
    assert target(url, private=True)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://user:pw@api.openai.com", "user or password"),
        ("https://user@api.openai.com", "user or password"),
        ("https://169.254.169.254/latest", "metadata"),
        ("https://169.254.1.1", "link-local"),
        ("https://[fe80::1]", "link-local"),
        ("https://metadata.google.internal", "metadata"),
        ("https://100.100.100.200", "metadata"),
        ("https://[fd00:ec2::254]", "metadata"),
        ("https://2130706433", "oddly"),
        ("https://0x7f000001", "oddly"),
        ("https://0x7f.0.0.1", "oddly"),
        ("https://0177.0.0.1", "oddly"),
        ("https://127.1", "oddly"),
        ("https://[::ffff:127.0.0.1]", "oddly"),
        ("https://[0:0:0:0:0:0:0:1]", "oddly"),
        ("https://[fe80::1%25eth0]", ""),
        ("https://[2002:7f00:1::]", "oddly"),
        ("https://0.0.0.0", "no address"),
        ("https://[::]", "no address"),
        ("https://224.0.0.1", "no address"),
        ("https://api.openai.com.", "plain name"),
        ("https://a..b", "plain name"),
        ("https://-a.com", "plain name"),
        ("https://\uff11\uff12\uff17.0.0.1", "ASCII"),
        ("https://a%2eb.com", "plain name"),
        ("https://api.openai.com?x=1", "before ? and #"),
        ("https://api.openai.com/#x", "before ? and #"),
        ("https://api.openai.com/../x", "path"),
        ("https://api.openai.com//x", "path"),
        ("https://api.openai.com/%2e", "path"),
        ("https://api.openai.com:0", "port 0"),
        ("https://api.openai.com:99999", "not a URL"),
        ("https://api.open\tai.com", "white space"),
        ("ftp://api.openai.com", "must be a URL"),
        ("api.openai.com", "must be a URL"),
        ("https://", "must be a URL"),
        ("https://[x]", ""),
    ],
)
def test_i6_never(url: str, said: str) -> None:
    """Credentials in a URL, odd spellings of addresses, metadata services and unclear URLs are refused always."""
    for private in (False, True):
        with pytest.raises(AddressError) as caught:
            target(url, private=private)
        assert said in str(caught.value)
        assert "pw" not in str(caught.value)


@given(st.text(max_size=60), st.booleans())
def test_any_url_is_taken_or_refused(text: str, private: bool) -> None:
    """No text makes the judge fail in another way, and what it takes is plain ASCII without a way out of the path."""
    for url in (text, f"https://{text}", f"https://a.example/{text}"):
        try:
            made = target(url, private=private)
        except AddressError:
            continue
        assert made.host.isascii()
        assert not {".", ".."} & set(made.path.split("/"))
        assert not set("?#\\ @%") & set(made.path.replace("@", ""))


@pytest.mark.parametrize(
    ("text", "place"),
    [("127.0.0.1:8080", ("127.0.0.1", 8080)), ("[::1]:80", ("::1", 80)), ("localhost:0", ("localhost", 0)), ("0.0.0.0:1", ("0.0.0.0", 1))],
)  # fmt: skip
def test_listeners(text: str, place: tuple[str, int]) -> None:
    """A listener is host and port."""
    assert listener(text) == place


@pytest.mark.parametrize("text", ["8080", ":8080", "127.0.0.1", "127.0.0.1:x", "::1:80", "h:65536", "h:-1", "h:٣", ""])
def test_bad_listeners(text: str) -> None:
    """What names no host or no port is refused."""
    with pytest.raises(AddressError):
        listener(text)


@pytest.mark.parametrize(
    ("host", "inside"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("box", False)],
)  # fmt: skip
def test_loopback(host: str, inside: bool) -> None:
    """Only loopback addresses count as this machine."""
    assert loopback(host) is inside
