"""What odd requests are made of."""

from __future__ import annotations

KEYS = (
    "zarr.json",
    "collapse/zarr.json",
    "bias/c/0",
    "collapse/c/0/0/0/0",
    "tolerance/c",
    "",
    "c",
    ".zgroup",
)
WAYS_OUT = (
    *(
        "..",
        "%2e%2e",
        "%2E.",
        "..%2f",
        "%252e%252e",
        "..\\",
        "%5c..",
        "%c0%ae",
        "\u2025",
        "%e2%80%a5",
        "//",
        ".",
    ),
    *(
        "%00",
        "%",
        "%zz",
        "%ff",
        "~",
        "%20",
        "%0d%0aX-Injected:1",
        "?",
        "#",
        ";",
        "owner.lock",
        "ledger.sqlite",
    ),
    "a" * 300,
)
QUERIES = (
    *(
        "var",
        "dimension",
        "bias",
        "tokens",
        "time",
        "overlap",
        "method",
        "format",
        "orient",
        "reduce",
        "var[]",
    ),
    *("bias_kind", "%00", "limit", "cursor", "text", "state", "label", ""),
)
VALUES = (
    *(
        "collapse",
        "p_one_cluster",
        "overlap_histogram",
        "bias_kind",
        "nearest",
        "exact",
        "paper:rqf",
        "succeeded",
    ),
    *(
        "json",
        "csv",
        "netcdf",
        "parquet",
        "records",
        "mean:tokens",
        "mean:",
        ":tokens",
        "std:time",
        "max:bias",
    ),
    *("nan", "inf", "-inf", "1e400", "1e-400", "-0", "0x10", "1_000", "64", "3", "0.1", "9" * 400, "٣"),
    *("0:1", ":", "::", "1:0", "nan:nan", "0.1,0.1", ",", "%00", "%ff", "%F0%9F%92%A9", "<script>", "*", ""),
    *("None", "null", "true", "[]", "{}", "' OR 1=1 --"),
)
RANGES = (
    *("bytes=0-", "bytes=-1", "bytes=0-0", "bytes=5-2", "bytes=-0", "bytes=999999999999999999-"),
    *("bytes=0-99999999999", "bytes=" + "9" * 5000 + "-", "bytes=-" + "9" * 40, "bytes=0-1,3-4"),
    *("bytes=a-b", "bytes", "=", "lines=0-1", "bytes=٣-", "bytes= 0 - 1", "", "\t"),
    "bytes=" + ",".join(f"{number}-{number}" for number in range(2000)),
)
HEADERS: dict[str, tuple[str, ...]] = {
    "Range": RANGES,
    "If-None-Match": ("*", '"', 'W/"x"', '"x", ' * 500, "", "é"),
    "If-Range": ("*", '"x"', "Sat, 01 Jan 2000 00:00:00 GMT", ""),
    "Accept": ("*/*", "text/csv", "application/x-netcdf", "x/y;q=0", "application/json;q=abc", "", "," * 999),
    "Accept-Encoding": ("gzip", "gzip;q=0", "*;q=0", "identity;q=0", "br", "gzip;q=x", ""),
    "Last-Event-ID": ("0", "-1", "x", "9" * 99),
    "Content-Type": (
        "application/json",
        "application/json; charset=utf-16",
        "text/plain",
        "",
        "a/b/c",
        "json",
    ),
    "Content-Encoding": ("gzip", "identity", "x"),
    "Connection": ("close", "keep-alive", "upgrade", "Range"),
    "Upgrade": ("websocket", "h2c"),
    "Expect": ("100-continue", "200-ok"),
    "Transfer-Encoding": ("identity", "gzip", "gzip, chunked"),
    # None of them has the service wait for a body that does not come: that takes its half a minute.
    "Content-Length": ("-1", "0", "9" * 18, "9" * 30, "x", "1, 1"),
    "Host": ("", "evil.example", "[::1", "127.0.0.1:99999", "localhost"),
    "Origin": ("null", "http://evil.example", ""),
    "Cookie": ("a=b", "=" * 500),
    "X-Request-ID": ("", "a" * 500, "é", "<script>"),
    "X-Odd\x01": ("x",),
    "X-Long": ("x" * 70_000,),
}
#: Those with which a request is no HTTP, and a closed connection is an answer.
BREAKING = {"X-Odd\x01", "X-Long", "Content-Length", "Transfer-Encoding"}
BODIES = (
    *(
        b"",
        b"null",
        b"[]",
        b"{}",
        b"{",
        b'"',
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b"\0",
    ),
    *(b'{"dimension": 3, "dimension": 4}', b'{"bias": NaN}', b'{"bias": Infinity}', b'{"bias": 1e400}'),
    *(b'{"name": "\\ud800"}', '{"name": "\u202e\u0000"}'.encode(), b'{"__proto__": {}}'),
    *(
        b"[" * 50_000,
        b'{"a":' * 9_000,
        b'{"tokens": 1' + b"0" * 5000 + b"}",
        b'{"seed": ' + b"9" * 4000 + b"}",
    ),
    b'{"times": [1, ' + b"2, " * 9_000 + b"3]}",
    b'{"dimension": 3, "bias": 0.1, "tokens": 2, "times": [1.0], "realizations": 10, "labels": {"": ""}}',
    b'{"dimension": 3, "bias": 0.1, "tokens": 2, "times": [1.0], "realizations": 10, "nmae": "a"}',
    b" " * 200_000,
)
METHODS = (
    *("GET", "GET", "GET", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"),
    *("get", "G\u00cbT"),
)
