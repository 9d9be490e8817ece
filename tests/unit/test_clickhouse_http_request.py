"""Requests, responses, errors and origins of the ClickHouse-compatible endpoint, without a socket."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import pytest

from spanhouse.exporter.access.browser_origin import is_cross_origin, is_local_name
from spanhouse.exporter.clickhouse_http.engine_connection import Result
from spanhouse.exporter.clickhouse_http.engine_errors import EngineError
from spanhouse.exporter.clickhouse_http.query_settings import QueryLimits
from spanhouse.exporter.clickhouse_http.request import query_id, read_fields, read_request
from spanhouse.exporter.clickhouse_http.response import ResponseCompressor, of_error, of_result


def test_fields_of_the_url_are_decoded_and_the_last_of_two_counts() -> None:
    assert read_fields(b"a=1&b=%20x+y&a=2&c=") == {"a": "2", "b": " x y", "c": ""}


@pytest.mark.parametrize("url", [b"a=%ff", "a=é".encode(), b"&".join(b"a=1" for _ in range(3000))])
def test_fields_that_are_not_utf8_or_too_many_are_refused(url: bytes) -> None:
    with pytest.raises(EngineError) as caught:
        read_fields(url)
    assert caught.value.code == 36


@pytest.mark.parametrize("given", ["a\r\nb", "\t", "é", "x" * 257])
def test_a_query_id_must_be_printable(given: str) -> None:
    with pytest.raises(EngineError):
        query_id({"query_id": given})


def test_a_query_id_is_kept_or_made() -> None:
    assert query_id({"query_id": "a b-1"}) == "a b-1"
    assert query_id({}) != query_id({})


def test_a_form_gives_the_statement_and_its_parameters_bytes_untouched() -> None:
    part = b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    body = part % (b"query", b"SELECT {x:String}") + part % (b"param_x", b"a\r\nb\n\xc3\xa9 ") + b"--b--\r\n"
    request = read_request({"database": "d"}, {"content-type": "multipart/form-data; boundary=b"}, body)
    assert request.statement == b"SELECT {x:String}"
    assert request.parameters == {"x": "a\r\nb\né "}
    assert request.database == "d"


@pytest.mark.parametrize("body", [b"no form", b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xff\r\n--b--'])
def test_a_form_that_is_none_or_not_utf8_is_an_error(body: bytes) -> None:
    with pytest.raises(EngineError) as caught:
        read_request({}, {"content-type": "multipart/form-data; boundary=b"}, body)
    assert caught.value.code == 36


def test_the_body_is_part_of_the_statement_unless_it_is_a_form() -> None:
    assert read_request(read_fields(urlencode({"query": "SELECT"}).encode()), {}, b"1").statement == b"SELECT\n1"
    assert read_request({}, {}, b"SELECT 1").statement == b"SELECT 1"


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("127.0.0.1:8123", True),
        ("127.0.0.1", True),
        ("[::1]:8123", True),
        ("[::1]", True),
        ("localhost:8123", True),
        ("LOCALHOST.", True),
        ("app.localhost:80", True),
        ("10.0.0.5:8123", True),
        ("listening.example:8123", True),
        ("", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example:8123", False),
        ("localhost.evil.example", False),
        ("0x7f000001", False),
        ("[evil.example]", False),
        ("a@127.0.0.1", False),
        ("127.0.0.1:evil.example", False),
    ],
)
def test_a_host_is_ours_if_no_one_else_can_make_it_point_here(host: str, own: bool) -> None:
    assert is_local_name(host, "listening.example") is own


@pytest.mark.parametrize(
    ("headers", "elsewhere"),
    [
        ({}, False),
        ({"origin": "http://localhost:8123", "host": "localhost:8123"}, False),
        ({"origin": "http://localhost:8080", "host": "localhost:8123"}, True),
        ({"origin": "null", "host": "localhost:8123"}, True),
        ({"origin": "", "host": "localhost:8123"}, True),
        ({"sec-fetch-site": "same-origin"}, False),
        ({"sec-fetch-site": "Cross-Site"}, True),
    ],
)
def test_a_request_of_another_origins_page_is_recognised(headers: dict[str, str], elsewhere: bool) -> None:
    assert is_cross_origin(headers) is elsewhere


def test_an_error_of_the_engine_gives_its_number_and_its_own_words() -> None:
    error = EngineError.of(
        RuntimeError("Code: 60. DB::Exception: Code: 60. DB::Exception: Unknown table. (UNKNOWN_TABLE) (version 26.9.2.1). (UNKNOWN_TABLE)")
    )
    assert error.code == 60
    assert str(error) == "Code: 60. DB::Exception: Unknown table. (UNKNOWN_TABLE). (UNKNOWN_TABLE)"
    assert EngineError.of(RuntimeError("no number")).code == 1002


def test_what_the_engine_says_about_our_own_call_is_left_out() -> None:
    text = "Code: 628. DB::Exception: No ORDER BY: In scope WITH formatQuerySingleLine('SELECT (1)') AS text SELECT text. (SOME_NAME)"
    assert str(EngineError.of(RuntimeError(text))) == "Code: 628. DB::Exception: No ORDER BY (SOME_NAME)"


def test_an_errors_response_has_its_status_and_number() -> None:
    answer = of_error(EngineError(62, "Syntax error"), query_id="q", version="1.2")
    assert (answer.status, answer.headers["x-clickhouse-exception-code"]) == (400, "62")
    assert answer.body == b"Code: 62. DB::Exception: Syntax error (SYNTAX_ERROR) (version 1.2)\n"


@pytest.mark.parametrize(
    ("output_format", "content_type"),
    [
        ("JSON", "application/json; charset=UTF-8"),
        ("JSONCompact", "application/json; charset=UTF-8"),
        ("JSONEachRow", "application/x-ndjson; charset=UTF-8"),
        ("CSVWithNames", "text/csv; charset=UTF-8; header=present"),
        ("CSV", "text/csv; charset=UTF-8; header=absent"),
        ("TSVRaw", "text/tab-separated-values; charset=UTF-8"),
        ("Native", "application/octet-stream"),
        ("Parquet", "application/octet-stream"),
        ("PrettyCompact", "text/plain; charset=UTF-8"),
    ],
)
def test_a_format_has_its_content_type(output_format: str, content_type: str) -> None:
    answer = of_result(Result(body=b"", output_format=output_format), query_id="q", timezone="UTC", compressor=ResponseCompressor("gzip"))
    assert dict(answer.raw_headers())[b"content-type"].decode() == content_type


def test_numbers_of_the_summary_are_strings_as_in_clickhouse() -> None:
    answer = of_result(
        Result(body=b"x", output_format="TSV", rows=1, read_rows=2, elapsed_seconds=0.5),
        query_id="q",
        timezone="UTC",
        compressor=ResponseCompressor(""),
    )
    summary = json.loads(answer.headers["x-clickhouse-summary"])
    assert (summary["result_rows"], summary["read_rows"], summary["elapsed_ns"]) == ("1", "2", "500000000")


@pytest.mark.parametrize("name", ["query_seconds", "query_memory_bytes", "result_bytes", "concurrent_queries", "statement_bytes"])
def test_a_limit_of_nothing_is_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        QueryLimits(**{name: 0}).validate()


def test_what_a_client_asks_for_is_taken_within_the_limits_only() -> None:
    settings = QueryLimits(query_seconds=30).session_settings(
        {
            "max_execution_time": "5",
            "max_memory_usage": "99999999999999",
            "max_threads": "-1",
            "readonly": "0",
            "join_use_nulls": "1",
            "max_result_bytes": "0",
        }
    )
    usual = QueryLimits(query_seconds=30).session_settings({})
    assert settings["max_execution_time"] == "5"
    assert settings["join_use_nulls"] == "1"
    assert "readonly" not in settings
    for name in ("max_memory_usage", "max_threads", "max_result_bytes"):
        assert settings[name] == usual[name]


def form(*parts: bytes) -> bytes:
    return b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + b"--b--\r\n"


FIELD = b'Content-Disposition: form-data; name="a"\r\n\r\n'


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (form(*[FIELD + b"1"] * 2001), 36),
        (b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" * 300_000, 36),
        (form(b"X: " + b"y" * 2**20 + b"\r\n\r\n1"), 48),
        (form(b'Content-Disposition: form-data; name="a"; filename="a"\r\n\r\n1'), 48),
        (form(b"1"), 48),
        (b"before" + form(FIELD + b"1"), 36),
    ],
    ids=["fields", "nested", "long header", "file", "no header", "text before"],
)
def test_a_form_that_would_take_long_or_is_not_one_of_fields_is_an_error(body: bytes, code: int) -> None:
    with pytest.raises(EngineError) as caught:
        read_request({}, {"content-type": "multipart/form-data; boundary=b"}, body)
    assert caught.value.code == code


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=\xe9"])
def test_a_form_without_a_boundary_is_an_error(content_type: str) -> None:
    with pytest.raises(EngineError) as caught:
        read_request({}, {"content-type": content_type}, form(FIELD + b"1"))
    assert caught.value.code == 36


@pytest.mark.parametrize("asked", ["9" * 5000, "-1", "1.5", "0", "", "\u0661"])
def test_a_limit_that_is_no_usual_number_leaves_ours(asked: str) -> None:
    assert QueryLimits().session_settings({"max_execution_time": asked})["max_execution_time"] == "30"
