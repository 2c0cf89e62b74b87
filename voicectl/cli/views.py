"""How each kind of record is shown. Columns are only ever appended to: scripts read TSV by position."""

from voicectl.cli.render import View

CALL = View(
    columns=(
        "uuid",
        "status",
        "direction",
        "from",
        "to",
        "conversation_uuid",
        "start_time",
        "end_time",
        "duration",
    ),
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
    table=("uuid", "status", "direction", "from", "to", "duration"),
)
CREATED = View(
    columns=("uuid", "status", "direction", "conversation_uuid", "to", "reference", "certainty", "replayed"),
    more=("from", "duration", "start_time", "end_time", "rate", "price", "network"),
    times=frozenset({"start_time", "end_time"}),
    table=("uuid", "status", "to", "reference", "certainty"),
)
LEG = View(columns=("uuid", "action", "outcome"), line="{uuid}  {action}  {outcome}")
INTENT = View(
    columns=("reference", "asked_at", "to", "from", "state", "uuid", "certainty", "reason"),
    more=("idempotency_key",),
    id="reference",
    table=("reference", "asked_at", "to", "state", "reason"),
)
