"""The files of recordings and transcriptions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import FileResponse

from voicectl.sandbox.http.pipeline import may_see, routes_of
from voicectl.sandbox.operations import Operation
from voicectl.sandbox.problems import gateway

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import Route

    from voicectl.sandbox.platform import Sandbox


def routes(sandbox: Sandbox) -> list[Route]:
    """The routes of ``/v1/files``; some clients ask for ``/v3/files``."""
    paths = ("/v1/files/{id}", "/v3/files/{id}")
    return routes_of(sandbox, *((Operation.GET_FILE, "GET", path, _get_file) for path in paths))


def _get_file(sandbox: Sandbox, request: Request, _body: Any) -> FileResponse:
    """The file, or the parts of it that a ``Range`` header asks for."""
    file = sandbox.files.get(request.path_params["id"])
    if file is None or not may_see(request, file.application_id, file.region):
        raise gateway(404, "File does not exist, or you do not have access.")
    return FileResponse(file.path, media_type=file.media_type)
