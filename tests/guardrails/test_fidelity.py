import pytest
from hypothesis import given

from ctxshrink import Shrinker
from ctxshrink.bench.adversaries import DAMAGING, HARMLESS, Case, damaged
from ctxshrink.guardrails.fidelity import changes, check_trial, verbatim
from ctxshrink.text import sentences
from ctxshrink.types import Segment, Trial
from tests.strategies import LOG_LINES, PROPERTY, texts

REPORT = (
    "The pump costs $5 per month in Berlin. It must not be opened before Monday. In 2019 Ann Miller paid 1,480 euros "
    "to Bob Kern. The red valve increased the pressure from 5 to 7 bar. Bob got 70 apples on 3 March. Only admins may "
    "delete the archive, unless the flag is set. Nobody has seen the key since then."
)


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("In 2019 Ann Miller paid 1,840 euros to Bob Kern.", "altered", "'1,840' where the original says '1,480'"),
        ("It must not be opened before Tuesday.", "altered", "'Tuesday'"),
        ("In 2019 Ann Miller of Tadeusz paid 1,480 euros to Bob Kern.", "altered", "'Tadeusz'"),
        ("The red valve increased the pressure from 7 to 5 bar.", "swapped", "'7'"),
        ("Bob got 5 apples on 3 March.", "swapped", "'5' where the original says '70'"),
        ("In 2019 Bob Kern paid 1,480 euros to Ann Miller.", "swapped", "Ann Miller"),
        ("It must be opened before Monday.", "negations", "'not' of 'It must not be opened'"),
        ("Admins may delete the archive, unless the flag is set.", "negations", "'Only'"),
        ("The pump does not cost $5 per month in Berlin.", "negations", "not"),
        ("The pump costs per month in Berlin.", "cut", "'$5'"),
        ("The blue valve increased the pressure from 5 to 7 bar.", "replaced", "'blue' where the original says 'red'"),
        ("The red valve decreased the pressure from 5 to 7 bar.", "replaced", "'decreased'"),
    ],
)
def test_finds_what_was_changed(text: str, name: str, said: str) -> None:
    found = changes(REPORT, text)
    assert not found.ok
    assert found.features[name] > 0
    assert found.reason is not None
    assert said in found.reason


@pytest.mark.parametrize(
    ("original", "text"),
    [
        ("Das Ventil darf nicht geöffnet werden.", "Das Ventil darf geöffnet werden."),
        ("Das geht nicht. Wir fahren heute ab.", "Das geht. Wir fahren heute ab."),
        ("N'oubliez jamais la clé sous le pot bleu !", "Oubliez la clé sous le pot bleu !"),
        ("El tren no sale sin el maquinista.", "El tren sale con el maquinista."),
        ("他没有带钥匙，所以等了四十分钟。", "他带钥匙，所以等了四十分钟。"),
        ("会議は木曜日に始まりません。", "会議は木曜日に始まり。"),
        ("Der Preis beträgt 3,5 Euro je Stück.", "Der Preis beträgt 5,3 Euro je Stück."),
        ("列车于15时30分到达北京。", "列车于15时30分到达南京。"),
    ],
)
def test_finds_it_in_other_languages(original: str, text: str) -> None:
    assert not changes(original, text).ok
    assert changes(original, original.replace(" ", "  ")).ok


@pytest.mark.parametrize(
    "text",
    [
        "",
        "…",
        "It must not be opened before Monday.",
        "IT MUST NOT BE OPENED BEFORE MONDAY.",
        "- Bob got 70 apples on 3 March.\n- The pump costs $5 per month in Berlin.",
        "1. Bob got 70 apples on 3 March.\n2. The pump costs $5 per month in Berlin.",
        "In 2019 Ann Miller paid 1480 euros to Bob Kern.",
        "Ann Miller paid 1,480 euros to Bob Kern in 2019.",
        "pump costs $5 month Berlin. must not opened before Monday. 2019 Ann Miller paid 1,480 euros Bob Kern",
        "[… 3 sentences omitted] Bob got 70 apples on 3 March. [… 2 sentences omitted]",
        "Bob got … apples on 3 March.",
        'Bob got 70 apples on 3 March.\n[original: expand("abcdefghij")]',
    ],
)
def test_leaves_alone_what_says_the_same(text: str) -> None:
    assert changes(REPORT, text).ok


def test_the_query_is_no_compression_unless_it_is_a_sentence_of_the_original() -> None:
    query = "Who paid in 2019 for the pump?"
    assert changes(REPORT, query, query).echo
    assert changes(REPORT, "Bob got 70 apples on 3 March.", "Bob got 70 apples on 3 March.").ok


def test_another_text_is_rejected() -> None:
    found = changes(REPORT, "the little cat sat quietly beneath an old table")
    assert not found.ok
    assert found.novel == 1.0


def test_a_value_under_another_key_is_found_in_json() -> None:
    original = '{"installation": {"id": 16598467, "account": {"login": "heron", "id": 21031067, "type": "user"}}}'
    swapped = '{"installation": {"id": 21031067, "account": {"login": "heron", "id": 16598467, "type": "user"}}}'
    assert not changes(original, swapped).ok


def test_list_numbers_are_not_compared() -> None:
    original = "1. Open the lid of the box.\n2. Turn the key of the lock.\n3. Push the lever down."
    assert changes(original, "Open the lid of the box. 3. Push the lever down.").ok


@pytest.mark.parametrize("name", sorted(HARMLESS))
def test_harmless_changes_pass(name: str) -> None:
    assert changes(REPORT, HARMLESS[name](Case(REPORT, "Who paid?", ("1,480 euros",)))).ok


@pytest.mark.parametrize("name", sorted(set(DAMAGING) - {"empty", "filler", "first sentence"}))
@pytest.mark.parametrize("seed", range(3))
def test_damage_is_found(name: str, seed: int) -> None:
    case = Case(REPORT, "What did Ann Miller pay to Bob Kern?", ("1,480",), seed)
    text = DAMAGING[name](case)
    assert damaged(name, case, text)
    assert not changes(REPORT, text, case.query).ok


@pytest.mark.parametrize("name", ["empty", "filler", "first sentence"])
def test_omission_is_not_judged(name: str) -> None:
    assert changes(REPORT, DAMAGING[name](Case(REPORT, "Who?", ("70",)))).ok


@PROPERTY
@given(texts(), texts())
def test_any_two_texts_give_an_answer_always_the_same(original: str, text: str) -> None:
    found = changes(original, text, "who?")
    assert found == changes(original, text, "who?")
    assert found.ok == (found.reason is None)
    assert all(0 <= value <= 5 for value in found.features.values())


@PROPERTY
@given(texts())
def test_white_space_and_the_text_itself_are_no_change(text: str) -> None:
    assert changes(text, text).ok
    assert changes(text, "\n ".join(text.split())).ok


@PROPERTY
@given(texts())
def test_whole_sentences_are_no_change(text: str) -> None:
    kept = [text[s:e] for s, e in sentences(text)][::2]
    assert changes(text, "\n".join(kept), content_type="prose").ok


def test_renderings_of_the_library_are_taken_as_they_are_and_only_they() -> None:
    log = "\n".join(LOG_LINES * 4)
    [decision] = Shrinker(guardrail=None).shrink_text(log, query="worker-3", keep=0.4).decisions
    assert decision.action == "compressed"
    trial = Trial(decision.segment, decision.text, decision.spans, decision.source)
    assert check_trial(trial).ok
    changed = decision.text.replace("ERROR", "INFO").replace("0", "9")
    assert not check_trial(Trial(decision.segment, changed, decision.spans, decision.source)).ok


def test_a_reference_line_is_not_a_part_of_the_text() -> None:
    line = '[original, 60 lines: expand("abcdefghij")]'
    segment = Segment("0", REPORT, reference=line)
    assert check_trial(Trial(segment, f"Bob got 70 apples on 3 March.\n{line}")).ok


def test_verbatim_checks_the_claim() -> None:
    spans = ((0, 38), (39, 76))
    text = f"{REPORT[0:38]} … {REPORT[39:76]}"
    assert verbatim(REPORT, text, spans)
    assert not verbatim(REPORT, text.replace("$5", "$6"), spans)
    assert not verbatim(REPORT, text + " Indeed.", spans)


@pytest.mark.parametrize(
    "piece", ["a", "1", "中", "a ", "1 ", "[… ", "n't ", "not ", "1,", "A ", "\ud800", "\u2028", "'"]
)
def test_a_long_run_of_anything_ends(piece: str) -> None:
    found = changes(piece * 4000, piece * 2000 + "b", "what is it?")
    assert found == changes(piece * 4000, piece * 2000 + "b", "what is it?")
