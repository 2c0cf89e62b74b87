"""The documented language codes for speech synthesis and recognition, and the speech styles of each language.

The platform adds codes and styles over time, so an unknown code or style causes a warning, not an error.

Source: Voice API reference, "talk" (the enumeration in the specification, further codes in the SDKs, and the styles
in the text-to-speech guide); NCCO reference, "input" (the speech recognition guide).
"""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


SPOKEN = _words("""
    ar ca-ES cmn-CN cmn-TW cs-CZ cy-GB da-DK de-DE el-GR en-AU en-GB en-GB-WLS en-IN en-US en-ZA es-ES
    es-MX es-US eu-ES fi-FI fil-PH fr-CA fr-FR he-IL hi-IN hu-HU id-ID is-IS it-IT ja-JP ko-KR nb-NO
    nl-NL no-NO pl-PL pt-BR pt-PT ro-RO ru-RU sk-SK sv-SE th-TH tr-TR uk-UA vi-VN yue-CN af-ZA bg-BG
    bn-IN de-AT de-ET en-GB-SCT en-IE en-NZ es-CO gl-ES gu-IN kn-IN lv-LV ml-IN ms-MY nl-BE pa-IN sr-RS
    ta-IN te-IN
""")
"""The codes of the languages that ``talk`` can speak."""

HEARD = _words("""
    af-ZA sq-AL am-ET ar-DZ ar-BH ar-EG ar-IQ ar-IL ar-JO ar-KW ar-LB ar-MA ar-OM ar-QA ar-SA ar-PS
    ar-TN ar-AE hy-AM az-AZ eu-ES bn-BD bn-IN bg-BG ca-ES zh cmn-hans-cn hr-HR cs-CZ da-DK nl-NL en-AU
    en-CA en-GH en-IN en-IE en-KE en-NZ en-NG en-PH en-ZA en-TZ en-GB en-US fi-FI fr-CA fr-FR gl-ES
    ka-GE de-DE el-GR gu-IN he-IL hi-IN hu-HU is-IS id-ID it-IT ja-JP jv-ID kn-IN km-KH ko-KR lo-LA
    lv-LV lt-LT ms-MY ml-IN mr-IN ne-NP nb-NO fa-IR pl-PL pt-BR pt-PT ro-RO ru-RU sr-RS si-LK sk-SK
    sl-SI es-AR es-BO es-CL es-CO es-CR es-DO es-EC es-SV es-GT es-HN es-MX es-NI es-PA es-PY es-PE
    es-PR es-ES es-US es-UY es-VE su-ID sw-KE sw-TZ sv-SE ta-IN ta-MY ta-SG ta-LK te-IN th-TH tr-TR
    uk-UA ur-IN ur-PK vi-VN zu-ZA
""")
"""The codes of the languages that ``input`` and transcriptions can recognise."""

DEFAULT = "en-US"

_STYLES = _words("""
    ar:7 eu-ES:0 bn-IN:1 ca-ES:1 yue-CN:0 cmn-CN:5 cmn-TW:3 cs-CZ:2 da-DK:5 nl-NL:6 en-AU:5 en-IN:5
    en-ZA:0 en-GB:7 en-US:11 en-GB-WLS:0 fil-PH:3 fi-FI:1 fr-CA:4 fr-FR:7 de-DE:6 el-GR:2 he-IL:0
    hi-IN:5 hu-HU:1 is-IS:1 id-ID:4 it-IT:6 ja-JP:5 ko-KR:5 ml-IN:1 nb-NO:7 pl-PL:8 pt-BR:5 pt-PT:7
    ro-RO:1 ru-RU:6 sk-SK:1 es-MX:0 es-ES:4 es-US:2 sv-SE:3 ta-IN:1 te-IN:1 th-TH:1 tr-TR:7 uk-UA:0
    vi-VN:3 cy-GB:0
""")
LAST_STYLE = {code.lower(): int(last) for code, _, last in (pair.partition(":") for pair in _STYLES)}
"""The highest style number of each language, keyed by lower-case language code."""

_STYLES_WITHOUT_SSML = _words("""
    ar:2,5,6 eu-es:0 ca-es:0,1 yue-cn:0 cmn-cn:3 cmn-tw:0 cs-cz:1,2 en-za:0 fi-fi:1 el-gr:1,2 he-il:0
    hi-in:2 hu-hu:1 id-id:1 ko-kr:3 nb-no:6,7 pt-br:2,4 pt-pt:3,4 ro-ro:1 sk-sk:1 es-es:3 sv-se:2,3
    th-th:0 tr-tr:4,7
""")
WITHOUT_SSML = {
    code: frozenset(map(int, styles.split(",")))
    for code, _, styles in (pair.partition(":") for pair in _STYLES_WITHOUT_SSML)
}
"""The style numbers that do not support SSML, keyed by lower-case language code."""
