"""SSML: readable and supported elements, and safe parsing."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicectl.voice import ssml

BOMB = "<!DOCTYPE speak [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;'>]>"


@pytest.mark.parametrize(
    "text",
    [
        "Hello",
        "2 < 3 & 4 > 1",
        "if a<b then <c>",
        "<speak>Hello</speak>",
        " <speak>Hello &amp; goodbye &#x21;</speak>\n",
        "<speak>One <break time='1s'/><break time='500ms'/><break strength=\"x-weak\"/> two</speak>",
        "<speak><p><s>One</s></p><emphasis level='strong'>two</emphasis></speak>",
        "<speak><prosody rate='fast' pitch='+5%'>a</prosody><sub alias='b'>c</sub></speak>",
        "<speak><lang xml:lang='fr-FR'>oui</lang><phoneme alphabet='ipa' ph='x'>x</phoneme></speak>",
        "<speak><say-as interpret-as='date' format='mdy'>9/12/12</say-as></speak>",
    ],
)
def test_supported_ssml_causes_no_warning(text: str) -> None:
    assert ssml.check(text) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<speak>Hello", "no element found"),
        ("<speak>Hello</speak> again", "junk after document element"),
        ("<speak>Tom & Jerry</speak>", "not well-formed"),
        ("<speak>a<break></speak>", "mismatched tag"),
        ("<speak><break time=1s/></speak>", "not well-formed"),
        ("<speak>&nbsp;</speak>", "undefined entity"),
        ("<speak>\0</speak>", "not well-formed"),
        ("<speaker>Hello</speaker>", "not <speak>"),
        ("<SPEAK>Hello</SPEAK>", "not <speak>"),
        ("<speak" + BOMB + ">&b;</speak>", "not well-formed"),
    ],
)
def test_unreadable_ssml_is_reported(text: str, words: str) -> None:
    with pytest.raises(ssml.BadSsml, match=words):
        ssml.check(text)


def test_a_document_type_is_refused_before_it_defines_anything() -> None:
    with pytest.raises(ssml.BadSsml, match="DOCTYPE declaration"):
        ssml._read(BOMB + "<speak>&b;</speak>")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<speak><brake time='1s'/></speak>", "<break>"),
        ("<speak><audio src='x'/></speak>", "documented tags"),
        ("<speak><break time='1'/></speak>", "1s, 500ms"),
        ("<speak><break strength='huge'/></speak>", "x-strong"),
        ("<speak><emphasis level='very'>a</emphasis></speak>", "moderate"),
        ("<speak><say-as interpret-as='money'>1</say-as></speak>", "cardinal"),
        ("<speak><say-as>1</say-as></speak>", "interpret-as"),
        ("Wait <break time='1s'/> a moment", "whole text"),
        ("Hello</speak>", "whole text"),
    ],
)
def test_elements_that_the_platform_may_not_support_are_warnings(text: str, words: str) -> None:
    (doubt,) = ssml.check(text)

    assert words in doubt.hint


def test_a_warning_is_reported_once_however_often_it_applies() -> None:
    assert len(ssml.check("<speak>" + "<brake/>" * 1000 + "</speak>")) == 1


@given(st.text(alphabet="<>/&;='\"speakbr! [x\ud800\0") | st.text())
@settings(max_examples=300, deadline=None, derandomize=True, database=None)
def test_no_text_is_too_odd_to_check(text: str) -> None:
    for each in (text, f"<speak>{text}</speak>", f"<speak {text}"):
        with suppress(ssml.BadSsml):
            assert all(doubt.message and doubt.hint for doubt in ssml.check(each))
