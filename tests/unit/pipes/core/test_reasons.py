from __future__ import annotations

from string import Formatter

import pytest

from pipes.core.reasons import Reason

#: What callers give: each blank means the same thing in every sentence.
BLANKS = {
    "items": "3",
    "which": "17, 18",
    "value": "1.5",
    "server": "PLC1",
    "pipe": "North to south",
    "item": "ns=2;s=TIC101.SP",
    "why": "BadTimeout {0} %s",  # a server's own words are not a template
    "what": "source timestamps",
    "seconds": 30,
    "count": 7,
    "revision": 12,
    "node": "nsu=urn:plant;s=T1",
    "found": "2.25",
    "endpoint": "opc.tcp://10.0.0.2:4840",
    "former": "opc.tcp://10.0.0.1:4840",
}


def blanks_of(reason: Reason) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(reason.value) if name is not None}


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.name)
def test_a_sentence_shows_what_each_of_its_blanks_holds(reason: Reason) -> None:
    given = {name: BLANKS[name] for name in blanks_of(reason)}

    sentence = reason.sentence(**given)

    assert all(str(value) in sentence for value in given.values())
    left = sentence
    for value in given.values():
        left = left.replace(str(value), "")
    assert "{" not in left


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.name)
def test_a_sentence_without_a_blank_that_it_needs_is_refused(reason: Reason) -> None:
    needed = blanks_of(reason)
    assert needed, "a reason names what it speaks of"

    for missing in needed:
        with pytest.raises(KeyError, match=missing):
            reason.sentence(**{name: BLANKS[name] for name in needed - {missing}})


def test_more_blanks_than_a_sentence_needs_are_no_fault() -> None:
    assert Reason.SERVER_CONNECTED.sentence(**BLANKS) == "connected to PLC1"


def test_codes_are_words_for_programs_and_no_two_sentences_are_the_same() -> None:
    assert all(reason.name.isupper() and reason.name.isidentifier() for reason in Reason)
    assert len({reason.value for reason in Reason}) == len(Reason.__members__)
