"""The faults that an NCCO can have, and whether each fault is an error or a warning.

The platform refuses an NCCO that contains an error. An NCCO that contains only warnings runs. The sandbox has its
own parser, which refuses an NCCO if and only if the NCCO contains an error. The tests compare the parser with the
linter.

Source: NCCO reference, "lint list" and "tolerances".
"""

from __future__ import annotations

from enum import StrEnum


class Severity(StrEnum):
    """The severity of a finding."""

    ERROR = "error"
    WARNING = "warning"


class Fault(StrEnum):
    """A rule that an NCCO can break."""

    WRONG_TYPE = "a value of the wrong type"
    NO_KIND = 'an action without "action", or an endpoint without "type"'
    UNKNOWN_KIND = "an unknown action or type of endpoint"
    MISSING = "a missing required option"
    NOT_A_CHOICE = "a value that is not among those allowed"
    MALFORMED = "a string that is blank, or is not a URL, number, key or SIP URI where one is required"
    TOO_LONG = "text that is too long"
    OUT_OF_RANGE = "a number that is out of range"
    WRONG_COUNT = "an array with too few or too many items"
    CONTRADICTION = "options that exclude or require each other"
    BARGE_IN_WITHOUT_INPUT = "bargeIn without an input action after the prompts"
    BAD_SSML = "text in <speak> that is not well-formed"
    UNREADABLE = "a file that is not JSON in UTF-8"
    REPEATED_KEY = "a key that occurs twice in an object"
    BYTE_ORDER_MARK = "a file that begins with a byte order mark"

    NULL = "an option that is null, which counts as absent"
    AS_TEXT = "a number, true or false written as a string"
    PLUS = "a phone number with a +"
    IN_ARRAY = "a URL in an array where a string is expected"
    NO_URL = "an empty array in place of an optional URL"
    CLAMPED = "a number that the platform replaces with the nearest allowed value"
    ODD_STEP = "a number that is not a multiple of the step"
    UNKNOWN_CALLER = "a caller id that is not a phone number"
    OTHER_ID = "an id in an unknown format"
    LONG_URI = "a SIP URI that is unusually long"
    NO_SIP_USER = "a SIP URI without a user"
    PREFIXED_HEADER = "a SIP header whose name is sent with an extra X-"
    BIG_HEADERS = "WebSocket headers that are larger than the documented limit"
    NO_INPUT_TYPE = "an input action without type"
    UNKNOWN_OPTION = "an option with an unknown name"
    MISSPELT_OPTION = "an option whose name is misspelt"
    OTHER_SPELLING = "an option written in an alternative spelling that is also accepted"
    DEPRECATED = "something deprecated"
    NO_EFFECT = "an option that another option makes ineffective"
    UNKNOWN_LANGUAGE = "a language code that is not documented"
    UNKNOWN_STYLE = "a style that is not documented for its language"
    ODD_SSML = "SSML that may not be spoken as intended"
    BARGE_IN_STAYS = "bargeIn set to false while an earlier true still applies"
    NEVER_RUNS = "an action after one that does not end"
    RECORD_TOO_LATE = "a record action after the call that it should record"


_ERRORS = frozenset(
    {
        Fault.WRONG_TYPE,
        Fault.NO_KIND,
        Fault.UNKNOWN_KIND,
        Fault.MISSING,
        Fault.NOT_A_CHOICE,
        Fault.MALFORMED,
        Fault.TOO_LONG,
        Fault.OUT_OF_RANGE,
        Fault.WRONG_COUNT,
        Fault.CONTRADICTION,
        Fault.BARGE_IN_WITHOUT_INPUT,
        Fault.BAD_SSML,
        Fault.UNREADABLE,
        Fault.REPEATED_KEY,
        Fault.BYTE_ORDER_MARK,
    }
)

VERDICTS = {fault: Severity.ERROR if fault in _ERRORS else Severity.WARNING for fault in Fault}
"""The severity of each fault."""
