"""Serve one of the applications, for their scenarios: ``python -m tests.apps.served NAME PORT``."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import jwt
import uvicorn
from starlette.types import ASGIApp

from tests.apps import hostbuilt, ivr, reception, survey, voicebot, voicemail
from tests.apps.archive import Archive
from tests.support.bots import Bot


async def dial(order: dict[str, Any]) -> None:
    """Place a call, as the application of the environment."""
    claims = {
        "application_id": os.environ["VONAGE_APPLICATION_ID"],
        "iat": int(time.time()),
        "jti": str(uuid4()),
    }
    token = jwt.encode(claims, Path(os.environ["VONAGE_PRIVATE_KEY"]).read_text(), algorithm="RS256")
    async with httpx.AsyncClient(trust_env=False) as http:
        headers = {"Authorization": f"Bearer {token}"}
        made = await http.post(f"{os.environ['VONAGE_API_HOST']}/v1/calls", json=order, headers=headers)
        made.raise_for_status()


def bot(_base: str) -> ASGIApp:
    conversation = voicebot.Conversation()
    served = Bot(on_open=conversation.greet, on_message=conversation.listen)
    return voicebot.application(served.__enter__().url)  # until the process ends


APPLICATIONS = {
    "archive": lambda base: Archive().application(base),
    "hostbuilt": hostbuilt.application,
    "ivr": ivr.application,
    "reception": reception.application,
    "survey": lambda base: survey.application(base, {}, dial),
    "voicebot": bot,
    "voicemail": lambda base: voicemail.application(base, [], []),
}

if __name__ == "__main__":
    name, port = sys.argv[1], int(sys.argv[2])
    application = APPLICATIONS[name](f"http://127.0.0.1:{port}")
    uvicorn.run(application, host="127.0.0.1", port=port, ws="none", log_level="warning")
