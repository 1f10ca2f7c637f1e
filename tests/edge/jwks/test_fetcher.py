import asyncio
import ssl
import tracemalloc
from pathlib import Path

import pytest

from authz.config.settings import IssuerKeys
from authz.edge.jwks.fetcher import Fetcher, FetchError, metadata_urls
from tests.support import jwks_server as bad
from tests.support.jwks_server import MIB, IssuerSite, https, page
from tests.support.waiting import DEADLINE

SET = {"keys": []}
LIMIT = 262_144


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, DEADLINE))


async def get(url="", *, issuer="https://issuer.example/", seconds=DEADLINE, max_bytes=LIMIT, **options):
    fetcher = Fetcher(seconds=seconds, max_bytes=max_bytes, **options)
    try:
        return await fetcher.key_set(IssuerKeys(issuer=issuer, jwks_uri=url))
    finally:
        await fetcher.close()


def fetch_page(answer, **options):
    """Get one page, and give the server that served it, too."""

    async def go():
        async with IssuerSite(pages={"/jwks": answer}) as site:
            return await get(f"{site.url}/jwks", **options), site

    return run(go())


def refusal(url, **options):
    with pytest.raises(FetchError) as caught:
        run(get(url, **options))
    return str(caught.value)


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/jwk-set+json",
        "application/x+json ; a=b",
    ],
)
def test_a_json_document_is_given_byte_for_byte(kind):
    fetched, site = fetch_page(page(b'{"keys": [] }', kind=kind))

    assert b'{"keys": [] }' == fetched.body
    assert ["/jwks"] == site.paths
    assert "identity" == site.requests[0].headers["accept-encoding"]


@pytest.mark.parametrize(
    ("header", "max_age"),
    [
        ("", None),
        ("no-store", None),
        ("max-age=600", 600),
        ("public, max-age=15", 15),
        ('public,Max-Age="7" , immutable', 7),
        ("max-age = 3", 3),
        ("s-maxage=9", None),
        ("s-maxage=9, max-age=8", 8),
        ("x-max-age=9", None),
        ("max-age=-1", None),
        ("max-age=soon", None),
        ("max-age=99999999999999999999", 999_999_999),
    ],
)
def test_the_age_is_that_of_cache_control(header, max_age):
    fetched, _ = fetch_page(page(SET, cache_control=header))

    assert max_age == fetched.max_age


def test_a_document_may_be_as_long_as_the_limit_and_not_a_byte_longer():
    fetched, _ = fetch_page(page(b" " * 5_000), max_bytes=5_000)

    assert 5_000 == len(fetched.body)
    with pytest.raises(FetchError, match="more than 5000 bytes"):
        fetch_page(page(b" " * 5_001), max_bytes=5_000)


MISBEHAVIOURS = {
    "500": (page(SET, status=500), "status 500"),
    "404": (page(SET, status=404), "status 404"),
    "no content": (page(b"", status=204, content_length=""), "status 204"),
    "partial content": (page(SET, status=206), "status 206"),
    "HTML": (page(b"<html>", kind="text/html"), "the content type is not JSON"),
    "JSON that says it is text": (page(SET, kind="text/plain"), "the content type is not JSON"),
    "no content type": (page(SET, kind=""), "the content type is not JSON"),
    "a type that only begins like JSON": (
        page(SET, kind="application/jsonp"),
        "the content type is not JSON",
    ),
    "100 MB": (bad.stream_100_mb, f"more than {LIMIT} bytes"),
    "gzip bomb": (bad.gzip_bomb(), "a content coding that was not asked for"),
    "gzip in other letters": (page(SET, content_encoding="GZip"), "a content coding that was not asked for"),
    "reset": (bad.reset, "ReadError"),
    "reset halfway": (bad.reset_halfway, "ReadError"),
    "end halfway": (bad.stop_halfway, "RemoteProtocolError"),
    "no HTTP": (bad.garbage, "RemoteProtocolError"),
    "endless headers": (bad.endless_headers, "RemoteProtocolError"),
}


@pytest.mark.parametrize("name", MISBEHAVIOURS)
def test_a_server_that_misbehaves_costs_bounded_memory_and_gives_one_cause(name):
    answer, problem = MISBEHAVIOURS[name]
    with pytest.raises(FetchError) as caught:
        fetch_page(answer)

    assert problem == str(caught.value)


STALLS = {"drips": bad.drip, "says nothing": bad.say_nothing}


@pytest.mark.parametrize("name", STALLS)
def test_a_server_that_stalls_is_left_when_the_time_is_up(name):
    with pytest.raises(FetchError, match=r"no answer within 0\.3 s"):
        fetch_page(STALLS[name], seconds=0.3)


def test_the_time_is_for_the_metadata_and_the_keys_together():
    async def go():
        async with IssuerSite() as site:
            issuer = f"{site.url}/tenant"
            site.pages |= {url.removeprefix(site.url): bad.drip for url in metadata_urls(issuer)}
            with pytest.raises(FetchError, match="no answer within"):
                await get(issuer=issuer, seconds=0.3)
            return site.paths

    assert ["/tenant/.well-known/openid-configuration"] == run(go())


@pytest.mark.parametrize("name", ["100 MB", "gzip bomb", "endless headers"])
def test_of_an_endless_answer_a_bounded_part_is_read(name):
    """What the server could hand over is what was read and what the two sockets' buffers hold."""

    async def go():
        async with IssuerSite(pages={"/jwks": MISBEHAVIOURS[name][0]}) as site:
            tracemalloc.start()
            with pytest.raises(FetchError):
                await get(f"{site.url}/jwks")
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            return site.sent, peak

    sent, peak = run(go())
    assert sent < 20 * MIB
    assert peak < 4 * MIB


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(status):
    async def go():
        async with IssuerSite(pages={"/jwks": page(SET)}) as target, IssuerSite() as site:
            site.pages["/jwks"] = page(SET, status=status, location=f"{target.url}/jwks")
            with pytest.raises(FetchError) as caught:
                await get(f"{site.url}/jwks")
            return str(caught.value), target.paths

    assert (f"status {status}", []) == run(go())


FORBIDDEN = [
    "http://keys.example/jwks",
    "http://127.0.0.1.keys.example/jwks",
    "http://localhost.keys.example/jwks",
    "http://localhost@keys.example/jwks",
    "https://user:secret@keys.example/jwks",
    "http://user@localhost/jwks",
    "file:///etc/hostname",
    "ftp://localhost/jwks",
    "data:application/json,{}",
    "unix:///run/jwks",
    "//localhost/jwks",
    "/jwks",
    "https://",
    "https:///jwks",
    "keys",
]


@pytest.mark.parametrize("url", FORBIDDEN)
def test_a_url_that_is_not_guarded_is_not_asked(url):
    assert refusal(url).startswith("the URL is not https, or has credentials")


@pytest.mark.parametrize(
    "url", ["http://[", "https://[::1", "https://keys.example:99999/", "https://a\x00b/", "http://[z]/"]
)
def test_a_url_that_cannot_be_read_is_a_fetch_error_and_nothing_else(url):
    assert refusal(url)


def test_a_refusal_holds_nothing_of_the_url():
    assert "secret" not in refusal("https://user:secret@keys.example/jwks")


def test_plain_http_is_for_hosts_that_are_named():
    """0.0.0.0 reaches this machine but is no loopback address: a stand-in for a host in the cluster."""

    async def go(**options):
        async with IssuerSite(pages={"/jwks": page(SET)}, host="0.0.0.0") as site:
            return (await get(f"{site.url}/jwks", **options)).body

    assert b'{"keys": []}' == run(go(insecure_hosts=frozenset({"0.0.0.0"})))
    for hosts in (frozenset(), frozenset({"0.0.0.1"}), frozenset({"0.0.0"})):
        with pytest.raises(FetchError, match="not https"):
            run(go(insecure_hosts=hosts))


@pytest.mark.parametrize(
    ("issuer", "urls"),
    [
        (
            "https://a.example/",
            [
                "https://a.example/.well-known/openid-configuration",
                "https://a.example/.well-known/oauth-authorization-server",
            ],
        ),
        (
            "https://a.example",
            [
                "https://a.example/.well-known/openid-configuration",
                "https://a.example/.well-known/oauth-authorization-server",
            ],
        ),
        (
            "https://a.example:8443/realms/b/",
            [
                "https://a.example:8443/realms/b/.well-known/openid-configuration",
                "https://a.example:8443/.well-known/oauth-authorization-server/realms/b",
                "https://a.example:8443/realms/b/.well-known/oauth-authorization-server",
                "https://a.example:8443/.well-known/openid-configuration/realms/b",
            ],
        ),
    ],
)
def test_metadata_is_looked_for_as_openid_and_oauth_have_it(issuer, urls):
    assert urls == list(metadata_urls(issuer))


@pytest.mark.parametrize("path", ["", "/", "/tenant", "/realms/b/"])
@pytest.mark.parametrize("place", range(4))
def test_the_key_set_is_found_through_whichever_metadata_there_is(path, place):
    async def go():
        async with IssuerSite() as site:
            issuer = site.url + path
            places = [url.removeprefix(site.url) for url in metadata_urls(issuer)]
            place_here = places[min(place, len(places) - 1)]
            site.pages[place_here] = page({"issuer": issuer, "jwks_uri": f"{site.url}/jwks"})
            site.pages["/jwks"] = page(SET)
            body = (await get(issuer=issuer)).body
            return body, site.paths, [*places[: places.index(place_here) + 1], "/jwks"]

    body, asked, expected = run(go())
    assert b'{"keys": []}' == body
    assert expected == asked


async def discover(document, *, kind="application/json"):
    """Ask an issuer that publishes this instead of its metadata, everywhere."""
    async with IssuerSite() as site:
        issuer = f"{site.url}/"
        told = document(site) if callable(document) else document
        for url in metadata_urls(issuer):
            site.pages[url.removeprefix(site.url)] = page(told, kind=kind)
        site.pages["/jwks"] = page(SET)
        try:
            return (await get(issuer=issuer)).body, site.paths
        except FetchError as error:
            return str(error), site.paths


METADATA = {
    "another issuer": lambda site: {"issuer": "https://other.example/", "jwks_uri": f"{site.url}/jwks"},
    "the issuer without its slash": lambda site: {"issuer": site.url, "jwks_uri": f"{site.url}/jwks"},
    "no issuer": lambda site: {"jwks_uri": f"{site.url}/jwks"},
    "no key set": lambda site: {"issuer": f"{site.url}/"},
    "a number": lambda site: {"issuer": f"{site.url}/", "jwks_uri": 7},
    "nothing": lambda site: {"issuer": f"{site.url}/", "jwks_uri": None},
    "a file": lambda site: {"issuer": f"{site.url}/", "jwks_uri": "file:///etc/hostname"},
    "a broken address": lambda site: {"issuer": f"{site.url}/", "jwks_uri": "http://["},
    "plain http elsewhere": lambda site: {"issuer": f"{site.url}/", "jwks_uri": "http://keys.example/jwks"},
    "two issuers": lambda site: (
        f'{{"issuer":"https://other.example/","issuer":"{site.url}/","jwks_uri":"{site.url}/jwks"}}'.encode()
    ),
    "a list": [],
    "no JSON": b"<html>",
}


@pytest.mark.parametrize("name", METADATA)
def test_metadata_that_does_not_speak_for_the_issuer_leads_nowhere(name):
    problem, paths = run(discover(METADATA[name]))

    assert isinstance(problem, str)
    assert "/jwks" not in paths


def test_metadata_that_came_by_https_cannot_lead_to_plain_http(tmp_path):
    context, file = https(tmp_path)
    authority = Path(file).read_text("ascii")

    async def go():
        async with IssuerSite(pages={"/jwks": page(SET)}) as plain, IssuerSite(context=context) as site:
            for url in metadata_urls(site.url):
                document = {"issuer": site.url, "jwks_uri": f"{plain.url}/jwks"}
                site.pages[url.removeprefix(site.url)] = page(document)
            with pytest.raises(FetchError, match="jwks_uri that is not https"):
                await get(issuer=site.url, authorities=authority)
            return plain.paths

    assert [] == run(go())


def test_https_is_believed_by_the_authorities_of_the_file_and_by_no_others(tmp_path):
    context, authority = https(tmp_path)
    (tmp_path / "other").mkdir()
    _, other = https(tmp_path / "other")

    async def go(**options):
        async with IssuerSite(pages={"/jwks": page(SET)}, context=context) as site:
            return (await get(f"{site.url}/jwks", **options)).body

    assert b'{"keys": []}' == run(go(authorities=Path(authority).read_text("ascii")))
    for options in ({}, {"authorities": Path(other).read_text("ascii")}):
        with pytest.raises(FetchError, match=r"no connection: .*CERTIFICATE_VERIFY_FAILED"):
            run(go(**options))


def test_https_is_believed_for_the_name_in_the_certificate_only(tmp_path):
    context, file = https(tmp_path)
    authority = Path(file).read_text("ascii")

    async def go():
        async with IssuerSite(pages={"/jwks": page(SET)}, context=context, host="localhost") as site:
            return await get(f"{site.url}/jwks", authorities=authority)

    with pytest.raises(FetchError, match="CERTIFICATE_VERIFY_FAILED"):
        run(go())


@pytest.mark.parametrize("authorities", ["", "no certificate"])
def test_authorities_that_are_none_are_an_error_and_not_the_systems(authorities):
    with pytest.raises(ssl.SSLError):
        Fetcher(seconds=1, max_bytes=1, authorities=authorities)


def test_a_proxy_of_the_environment_sees_no_plain_http(monkeypatch):
    async def go():
        async with IssuerSite() as proxy, IssuerSite(pages={"/jwks": page(SET)}) as site:
            for name in ("HTTP_PROXY", "ALL_PROXY"):
                monkeypatch.setenv(name, proxy.url)
            return (await get(f"{site.url}/jwks")).body, proxy.requests

    assert (b'{"keys": []}', []) == run(go())


def test_a_proxy_of_the_environment_is_asked_for_a_tunnel_where_the_url_is_https(monkeypatch):
    async def go():
        async with IssuerSite() as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
            with pytest.raises(FetchError, match="ProxyError"):
                await get("https://keys.example/jwks")
            return [request.line for request in proxy.requests]

    assert ["CONNECT keys.example:443 HTTP/1.1"] == run(go())


def test_no_cookie_is_kept():
    async def go():
        async with IssuerSite(pages={"/jwks": page(SET, set_cookie="a=b; Path=/")}) as site:
            fetcher = Fetcher(seconds=DEADLINE, max_bytes=LIMIT)
            for _ in range(2):
                await fetcher.key_set(
                    IssuerKeys(issuer="https://issuer.example/", jwks_uri=f"{site.url}/jwks")
                )
            await fetcher.close()
            return ["cookie" in request.headers for request in site.requests]

    assert [False, False] == run(go())


def test_a_server_that_is_not_there_is_a_fetch_error():
    async def go():
        async with IssuerSite() as site:
            url = f"{site.url}/jwks"
        await get(url)

    with pytest.raises(FetchError, match="no connection"):
        run(go())


async def discovered(document, issuer_of):
    """Look for the metadata of an issuer whose site has one document; gives what is told, without the site's address."""
    async with IssuerSite(pages={}) as site:
        site.pages["/.well-known/openid-configuration"] = page(document(site.url))
        with pytest.raises(FetchError) as caught:
            await get(issuer=issuer_of(site.url))
        return str(caught.value).replace(site.url, "URL"), caught.value.url.replace(site.url, "URL")


@pytest.mark.parametrize(
    ("named", "configured", "cause"),
    [
        ("{}/", "{}", "the issuer's name ends in a slash: write issuer: URL/"),
        ("{}", "{}/", "the issuer's name ends in no slash: write issuer: URL"),
        ("https://other.example", "{}", "the metadata document is not this issuer's"),
    ],
)
def test_an_issuer_without_its_final_slash_is_told_as_that_although_other_places_have_no_document(
    named, configured, cause
):
    found = run(
        discovered(
            lambda url: {"issuer": named.format(url), "jwks_uri": f"{url}/jwks"},
            configured.format,
        )
    )

    assert (cause, "URL/.well-known/openid-configuration") == found


def test_a_failure_names_the_url_that_failed():
    with pytest.raises(FetchError) as caught:
        run(get("http://127.0.0.1:1/jwks"))

    assert "http://127.0.0.1:1/jwks" == caught.value.url
