"""The expander: it answers any call with a text, and its schemas fit the providers'."""

import json
import logging

import pytest

from ctxshrink.errors import ConfigError, StoreError
from ctxshrink.expand import ARGUMENTS, TOOL_NAME, Expander, find_references, reference_line
from ctxshrink.store import Store, reference
from tests.expand.material import LINES, LOG, Texts, show


class TestWrongCalls:
    def test_an_id_that_is_none(self) -> None:
        for id in ("", "nope", "aaaaaaaaaaa", "\ud800", "x" * 1_000_000, "aaaaaaaaaa bbbbbbbbbb"):
            answer = Expander(Texts()).expand(id)
            assert "is not the id of an original" in answer
            assert len(answer) < 400

    def test_an_id_in_what_stands_around_it(self) -> None:
        id = reference(LOG)
        for given_ in (f" {id}\n", id.upper(), f'expand("{id}")', reference_line(id), f"'{id}'"):
            assert Expander(Texts(LOG)).expand(given_, "7") == LINES[6]

    def test_an_unknown_id(self) -> None:
        with Store.memory() as store:
            assert (
                Expander(store).expand("aaaaaaaaaa").startswith('There is no original "aaaaaaaaaa": its time has run')
            )

    def test_a_store_that_fails(self, caplog: pytest.LogCaptureFixture) -> None:
        class Broken(Texts):
            def load(self, id: str, /) -> str | None:
                raise StoreError("could not read the store at sqlite:////secret/place.db")

        with caplog.at_level(logging.WARNING, "ctxshrink"):
            answer = Expander(Broken()).expand("aaaaaaaaaa")
        assert answer.startswith("The originals cannot be read at the moment.")
        assert "secret" not in answer
        assert "secret" in caplog.text

    def test_the_bound_is_checked(self) -> None:
        with pytest.raises(ConfigError, match="max_chars"):
            Expander(Texts(), max_chars=0)

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            ("{", "not valid JSON"),
            ("[" * 100_000, "not valid JSON"),
            ("[]", "not an object"),
            ("null", "not an object"),
            ("{}", "missing or is not a text"),
            ({"id": 5}, "missing or is not a text"),
            ({"id": "aaaaaaaaaa", "lines": [1]}, "missing or is not a text"),
            ({"id": "aaaaaaaaaa", "line": "1"}, "no argument 'line'"),
        ],
    )
    def test_wrong_arguments(self, arguments: str | dict[str, object], says: str) -> None:
        answer = Expander(Texts(LOG)).handle(TOOL_NAME, arguments)
        assert says in answer
        assert 'Call it like {"id"' in answer

    def test_another_tool(self) -> None:
        assert "There is no tool 'search' here" in Expander(Texts()).handle("search", {})


class TestTool:
    def test_answers_both_providers(self) -> None:
        arguments = {"id": reference(LOG), "lines": "7", "search": None}
        expander = Expander(Texts(LOG))
        assert expander.handle("expand", arguments) == LINES[6]
        assert expander.handle("expand", json.dumps(arguments)) == LINES[6]
        assert expander.handle("expand", {"id": reference(LOG), "lines": 7}) == LINES[6]
        assert expander.handle("expand", {"id": reference(LOG)}) == LOG

    async def test_async_twins(self) -> None:
        with Store.memory() as store:
            (id,) = store.save([LOG])
            assert await Expander(store).aexpand(id, "7") == LINES[6]
            assert await Expander(store).ahandle("expand", {"id": id, "search": "job 7 "}) == show(LOG, search="job 7 ")

    def test_the_bound_is_that_of_the_expander(self) -> None:
        expander = Expander(Texts(LOG), max_chars=50)
        assert expander.handle("expand", {"id": reference(LOG)}).endswith('lines="3-"]')
        assert expander.expand(reference(LOG), max_chars=10_000) == LOG

    def test_schemas_fit_strict_mode(self) -> None:
        expander = Expander(Texts())
        chat, responses = expander.openai_tool(), expander.openai_responses_tool()
        assert chat == {"type": "function", "function": {k: v for k, v in responses.items() if k != "type"}}
        assert (responses["type"], responses["name"], responses["strict"]) == ("function", "expand", True)
        parameters = responses["parameters"]
        assert parameters["additionalProperties"] is False
        assert parameters["required"] == list(parameters["properties"]) == list(ARGUMENTS)
        anthropic = expander.anthropic_tool()
        assert set(anthropic) == {"name", "description", "input_schema"}
        assert anthropic["input_schema"] == {**parameters, "required": ["id"]}
        json.dumps([chat, responses, anthropic])


class TestReferences:
    def test_a_line_is_found_again(self) -> None:
        ids = [reference(word) for word in ("a", "b")]
        text = f"start\n{reference_line(ids[0])}\n{reference_line(ids[1], 60, 'row')}\n{reference_line(ids[0], 1)}"
        assert find_references(text) == ids
        assert f'[original, 60 rows: expand("{ids[1]}")]' in text
        assert f'[original, 1 line: expand("{ids[0]}")]' in text

    def test_inside_json(self) -> None:
        line = reference_line(reference("a"))
        assert find_references(json.dumps(json.dumps({"content": line}))) == [reference("a")]

    @pytest.mark.parametrize(
        "text", ["", 'expand("short")', 'expand("AAAAAAAAAA")', 'expand("' * 100_000, "expand(\\" * 9]
    )
    def test_nothing_else_is(self, text: str) -> None:
        assert find_references(text) == []
