"""The variables with which Node programs reach the sandbox under the platform's names.

Node 20 and older heed no proxy variables, so a module that is preloaded into them redirects their connections.
"""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

from voicectl.voice.hosts import PLATFORM_HOSTS

PRELOAD = Path(__file__).with_name("node_preload.cjs")
"""The module, which reads ``VOICECTL_INTERCEPT``."""


def variables(options: str, proxy_url: str, tls_url: str, preload: Path = PRELOAD) -> dict[str, str]:
    """Return the environment variables for Node programs.

    Args:
        options: The value of ``NODE_OPTIONS`` so far, which is kept.
        proxy_url: The URL of the proxy, which logs the connections that the module refuses.
        tls_url: The URL at which the sandbox is served by HTTPS.
    """
    path = str(preload).replace("\\", "\\\\").replace('"', '\\"')  # as Node reads quoted values
    settings = {
        "hosts": sorted(PLATFORM_HOSTS),
        "port": urlsplit(tls_url).port,
        "proxy": urlsplit(proxy_url).port,
    }
    return {
        "NODE_OPTIONS": f'{options} --require "{path}"'.strip(),
        "VOICECTL_INTERCEPT": json.dumps(settings),
    }
