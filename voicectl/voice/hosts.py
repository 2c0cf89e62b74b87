"""The names of the platform's hosts.

A host is listed here only if the platform's documentation or its own clients name it. A common suffix such as
``.vonage.com`` does not make a name one of the platform's.

Source: Voice API reference, "regions"; Numbers API reference.
"""

from __future__ import annotations

from voicectl.voice.call import Region

API_HOST = "api.nexmo.com"
NUMBERS_HOST = "rest.nexmo.com"

REGION_HOSTS: dict[str, str] = {
    Region.NA_EAST: "api-us-3.vonage.com",
    Region.NA_WEST: "api-us-4.vonage.com",
    Region.EU_WEST: "api-eu-3.vonage.com",
    Region.EU_EAST: "api-eu-4.vonage.com",
    Region.APAC_SNG: "api-ap-3.vonage.com",
    Region.APAC_AUSTRALIA: "api-ap-4.vonage.com",
}
"""The host of each region."""

API_HOSTS = frozenset(
    {API_HOST, "api-us.vonage.com", "api-eu.vonage.com", "api-ap.vonage.com", *REGION_HOSTS.values()}
)
"""The hosts of the Voice API."""

FILE_HOSTS = API_HOSTS | {
    f"{name}.nexmo.com"
    for name in ("api-us", "api-eu", "api-us-1", "api-us-2", "api-eu-1", "api-eu-2", "api-sg-1")
}
"""The hosts that serve recordings and transcriptions."""

PLATFORM_HOSTS = FILE_HOSTS | {NUMBERS_HOST}
"""All hosts above."""
