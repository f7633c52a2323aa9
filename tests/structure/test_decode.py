"""The decoder: what the form's page says is what it reads, anything else is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink.errors import FormatError
from ctxshrink.structure.decode import Omitted, decode


def test_every_construct() -> None:
    text = """&1=https://api.example.org/users/ada
id:7
url: &1/repos
zip:"00501"
from, to, "v:": null
tags: [a, b]
address:
 city: Lyon
flights: 3 rows: number|"gate"|price.net|by
 all rows: @4 status=open|@6 date=2024-05-24
 HA1|07|12.50|
 HA2|08|13.00|{air: 2}
 HA3|09|13.50|null
cards: 2 rows by id: id|kind
 c1|visa
 c2|paypal
log:
 - first
 - level: info
   text: started
owner: same as address
pairs: 4 rows in groups of 2 of text: a
 1
 2
 3
 4"""
    both = {"status": "open", "date": "2024-05-24"}
    assert decode(text) == {
        "id": 7,
        "url": "https://api.example.org/users/ada/repos",
        "zip": "00501",
        "from": None,
        "to": None,
        "v:": None,
        "tags": ["a", "b"],
        "address": {"city": "Lyon"},
        "flights": [
            {"number": "HA1", "gate": "07", "price": {"net": 12.5}, **both},
            {"number": "HA2", "gate": "08", "price": {"net": 13.0}, "by": {"air": 2}, **both},
            {"number": "HA3", "gate": "09", "price": {"net": 13.5}, "by": None, **both},
        ],
        "cards": {"c1": {"id": "c1", "kind": "visa"}, "c2": {"id": "c2", "kind": "paypal"}},
        "log": ["first", {"level": "info", "text": "started"}],
        "owner": {"city": "Lyon"},
        "pairs": [[{"a": "1"}, {"a": "2"}], [{"a": "3"}, {"a": "4"}]],
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a:1\n[… 3 fields omitted]", {"a": 1, ...: Omitted(3)}),
        ("a: [x, …2, y]", {"a": ["x", Omitted(2), "y"]}),
        ("a: {x:1, …2}", {"a": {"x": 1, ...: Omitted(2)}}),
        ("- a\n[…4]\n- b", ["a", Omitted(4), "b"]),
        ("4 rows: a|…2\n1\n[…2]\n…", [{"a": 1, ...: Omitted(2)}, Omitted(2), {"a": Omitted(1), ...: Omitted(2)}]),
        ("3 rows by *: *|a\nk|1\n[…2]", {"k": {"a": 1}, ...: Omitted(2)}),
        ("a: One. […2] Four.", {"a": Omitted(2, "One. […2] Four.")}),
        ("[… 5 fields omitted]", Omitted(5)),
        ("4 rows in groups of 2: a\n1\n[…2]\n4", [[{"a": 1}, Omitted(1)], [Omitted(1), {"a": 4}]]),
    ],
)
def test_omissions(text: str, value: Any) -> None:
    assert decode(text) == value


def test_very_long_numbers() -> None:
    assert decode("a:" + "9" * 5000) == {"a": 10**5000 - 1}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "words",
        "a: [1",
        "a:\nb:1",
        "2 rows: a\n1",
        "1 rows: a\n1|2",
        "a:1\na:2",
        "a: &1",
        " a:1",
        "a:1\n  b:2",
        "3 rows by",
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(FormatError, match="compact form"):
        decode(text)


@given(st.text(alphabet='ab1:"|[]{}…,-& \n=@*.~rows', max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        value = decode(text)
    except FormatError:
        return
    assert isinstance(value, dict | list | Omitted)
