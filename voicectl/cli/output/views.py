"""The columns of each kind of record. New columns are only appended, because scripts read TSV columns by position."""

from dataclasses import replace

from voicectl.cli.output.writer import View

PARTIES = ("uuid", "status", "direction", "from", "to")
"""The columns for a leg's id, status, direction and parties."""

CALL = View(
    columns=(*PARTIES, "conversation_uuid", "start_time", "end_time", "duration"),
    more=(
        "from.type",
        "from.number",
        "to.type",
        "to.number",
        "to.uri",
        "to.user",
        "to.extension",
        "rate",
        "price",
        "network",
        "_links.self.href",
    ),
    times=frozenset({"start_time", "end_time"}),
)
LISTED = replace(
    CALL,
    more=(*CALL.more, "room", "age"),
    table=("uuid", "status", "from", "to", "room", "age", "direction", "duration"),
)
"""The view for a list of live legs."""

RECORDS = replace(
    LISTED, table=("uuid", "status", "from", "to", "start_time", "duration", "direction", "end_time")
)
"""The view for a list of call records, most of which have ended."""

SEEN = View(
    columns=(*CALL.columns, "status_source"),
    more=(
        *CALL.more,
        "detail",
        "reason",
        "sip_code",
        "disconnected_by",
        "sub_state",
        "detection",
        "detection_source",
    ),
    times=CALL.times,
)
AWAITED = replace(SEEN, table=("uuid", "status", "from", "to", "direction", "duration", "status_source"))
CREATED = View(
    columns=("uuid", "status", "direction", "conversation_uuid", "to", "reference", "certainty", "replayed"),
    more=(
        "from",
        "duration",
        "start_time",
        "end_time",
        "rate",
        "price",
        "network",
        "status_source",
        "detection",
        "_links.self.href",
    ),
    times=frozenset({"start_time", "end_time"}),
    table=("uuid", "status", "to", "reference", "certainty", "direction"),
)
LEG = View(columns=("uuid", "action", "outcome"), line="{uuid}  {action}  {outcome}")
INTENT = View(
    columns=("reference", "asked_at", "to", "from", "state", "uuid", "certainty", "reason"),
    more=("idempotency_key",),
    id="reference",
    utc_times=frozenset({"asked_at"}),
    table=("reference", "asked_at", "to", "state", "reason", "from", "uuid", "certainty"),
)
EVENT = View(
    columns=(
        "id",
        "received_at",
        "route",
        "kind",
        "status",
        "uuid",
        "conversation_uuid",
        "event.from",
        "event.to",
        "signed",
        "repeats",
    ),
    more=("timestamp", "method", "reference", "fault", "event.direction", "event.detail", "event.duration"),
    id="id",
    times=frozenset({"timestamp"}),
    utc_times=frozenset({"received_at"}),
    table=("id", "received_at", "kind", "status", "uuid", "event.from", "event.to", "signed", "route"),
)
EVENT_LINE = replace(EVENT, line="{received_at}  {id}  {kind} {status}  {uuid}  {event_from} {event_to}")
"""The view for events that are shown as they arrive, with one line for each event instead of a table."""
