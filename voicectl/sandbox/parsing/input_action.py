"""The reader for the ``input`` action of an NCCO.

Source: NCCO reference, "input".
"""

from __future__ import annotations

from voicectl.sandbox.parsing.fields import Fields
from voicectl.sandbox.telephony.actions import DtmfTerms, Input, SpeechTerms, Webhook

_FLAT = {"maxDigits", "timeOut", "submitOnHash"}

LANGUAGE = "en-US"
"""The default language of speech recognition and transcription."""


def read_input(fields: Fields, events: Webhook | None) -> Input:
    """Return the ``input`` action that *fields* describe. The action sends its result to the webhook *events*."""
    terms = fields.inside("dtmf")
    # The old form has its settings for keys in the action itself.
    flat, nested = _dtmf_terms(fields), None if terms is None else _dtmf_terms(terms)
    speech_terms = _speech_terms(fields.inside("speech") or Fields({}))
    kinds = _kinds(fields)
    is_asynchronous = fields.choice("mode", ("synchronous", "asynchronous")) == "asynchronous"
    if is_asynchronous and terms is not None and terms.raw:
        fields.refuse("dtmf", "Is not supported together with mode asynchronous")
    # Asynchronous mode exists only for keys. For speech alone, the flow waits.
    is_asynchronous = is_asynchronous and "dtmf" in kinds
    return Input(
        dtmf=(nested or flat) if "dtmf" in kinds else None,
        speech=speech_terms if "speech" in kinds and not is_asynchronous else None,
        is_asynchronous=is_asynchronous,
        is_old=not {"type", "dtmf", "speech"} & fields.raw.keys() and bool(_FLAT & fields.raw.keys()),
        events=events,
    )


def check_provider(fields: Fields) -> None:
    """Check the options that select a speech provider. The sandbox has only one, and ignores them."""
    fields.text("provider")
    fields.inside("providerOptions")


def _kinds(fields: Fields) -> tuple[str, ...]:
    """Return the kinds of input that the action collects: ``dtmf``, ``speech`` or both.

    If the option ``type`` is absent, the action collects the kinds for which it has settings. If it has no such
    settings, it collects key presses.
    """
    if "type" not in fields.raw:
        is_for_speech = "speech" in fields.raw
        is_for_keys = not is_for_speech or bool({"dtmf", *_FLAT} & fields.raw.keys())
        return ("dtmf",) * is_for_keys + ("speech",) * is_for_speech
    kinds = fields.texts("type")
    if kinds is not None and (not kinds or not set(kinds) <= {"dtmf", "speech"}):
        fields.refuse("type", "Must hold dtmf, speech or both")
    return kinds or ()


def _dtmf_terms(fields: Fields) -> DtmfTerms:
    return DtmfTerms(
        time_out=fields.integer("timeOut", 0, 10, default=3),
        max_digits=fields.integer("maxDigits", 1, 20, default=4),
        submit_on_hash=fields.flag("submitOnHash"),
    )


def _speech_terms(fields: Fields) -> SpeechTerms:
    legs = fields.texts("uuid")
    if legs is not None and len(legs) != 1:
        fields.refuse("uuid", "Must hold the id of one leg")
    silence = fields.amount("endOnSilence", low=0.4, high=10)
    fields.integer("sensitivity", 10, 100, default=90)
    check_provider(fields)
    return SpeechTerms(
        uuid=legs[0] if legs else None,
        end_on_silence=2.0 if silence is None else silence,
        language=fields.text("language") or LANGUAGE,
        context=fields.texts("context") or (),
        start_timeout=fields.integer("startTimeout", 1, 60, default=10),
        max_duration=fields.integer("maxDuration", 1, 60, default=60),
        save_audio=fields.flag("saveAudio"),
    )
