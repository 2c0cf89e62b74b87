"""The command tree: the name and summary of every command.

The tree contains only the name of each command's module. :mod:`voicectl.cli.grammar` loads the module when the
command runs. For example, ``dtmf`` does not load ``profile add``, and ``--help`` loads no command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = "voicectl"
COMPLETION_VARIABLE = "_VOICECTL_COMPLETE"


class Entry(NamedTuple):
    """A command in the tree.

    Attributes:
        function: The function of the command, as ``MODULE:FUNCTION`` in the package ``commands``.
        summary: The first sentence of the function's docstring.
        view: The name of the view whose columns the help lists, or None. It is written as ``NAME`` if the view is in
            ``views``, or as ``:NAME`` if it is in the module of the function.
        is_wrapper: True if the command runs another command, whose options are passed through.
    """

    function: str
    summary: str
    view: str | None = None
    is_wrapper: bool = False


Tree = dict[str, "Entry | Tree"]

COMMANDS: Tree = {
    "call": {
        "create": Entry("create:create", "Call one or more people, at most once each.", "CREATED"),
        "list": Entry("call:list_", "List live legs, or all call records.", "LISTED"),
        "show": Entry("call:show", "Show the record of one leg.", "SEEN"),
        "reconcile": Entry(
            "reconcile:reconcile",
            "Find out what became of calls for which the API's response was lost.",
            "INTENT",
        ),
    },
    "talk": Entry("talk_stream:talk", "Speak text on a live leg.", "LEG"),
    "stream": Entry("talk_stream:stream", "Play an audio file on a live leg.", "LEG"),
    "dtmf": Entry("dtmf:dtmf", "Press keys on a live leg.", "LEG"),
    "mute": Entry("mute_hangup:mute", "Keep the other parties from hearing a leg.", "LEG"),
    "unmute": Entry("mute_hangup:unmute", "Let the other parties hear a leg again.", "LEG"),
    "earmuff": Entry("mute_hangup:earmuff", "Keep a leg from hearing the other parties.", "LEG"),
    "unearmuff": Entry("mute_hangup:unearmuff", "Let a leg hear the other parties again.", "LEG"),
    "hangup": Entry("mute_hangup:hangup", "End legs, even while they are ringing.", "LEG"),
    "transfer": Entry("transfer:transfer", "Transfer a leg to another call flow.", "LEG"),
    "move": Entry("move:move", "Move legs into a room (a named conversation).", "LEG"),
    "wait": Entry("wait:wait", "Wait until every leg reaches a status.", "AWAITED"),
    "watch": Entry(
        "watch:watch",
        "Watch live legs in a full-screen view or, if the output is not a terminal, as lines.",
        ":VIEW",
    ),
    "trace": Entry("trace:trace", "Show what happened to a leg or in a conversation, in order.", ":VIEW"),
    "conversation": {
        "list": Entry("conversation:list_", "List conversations with live legs.", ":LISTED"),
        "show": Entry(
            "conversation_show:show",
            "Show who is in a conversation, who is muted, and who hears whom.",
            ":LEG",
        ),
        "events": Entry(
            "conversation_events:events", "List the events of a conversation, newest last.", ":VIEW"
        ),
        "talk": Entry("conversation:talk", "Speak text to everyone in a conversation.", ":ACTED"),
        "stream": Entry("conversation:stream", "Play an audio file to everyone in a conversation.", ":ACTED"),
        "record": Entry("conversation:record", "Record everyone in a conversation.", ":ACTED"),
    },
    "batch": {
        "run": Entry("batch_run:run", "Call many people, each at most once per attempt.", ":SUMMARY"),
        "list": Entry("batch:list_", "List the application's batches.", ":BATCH"),
        "status": Entry("batch:status", "Show the progress of a batch.", ":BATCH"),
        "stop": Entry(
            "batch:stop", "Stop a batch: no new calls are started after one second at most.", ":BATCH"
        ),
        "resume": Entry(
            "batch_run:resume", "Continue a batch that was paused, stopped or interrupted.", ":SUMMARY"
        ),
        "report": Entry("batch:report", "List every person in a batch, with the outcome.", ":PERSON"),
        "work": Entry(
            "batch_work:work",
            "Join a batch that was started with 'batch run --store', and help run it from this machine.",
            ":SUMMARY",
        ),
        "store": {
            "init": Entry(
                "batch_work:store_init", "Create the tables for batches in a PostgreSQL database.", ":OUTCOME"
            ),
            "upgrade": Entry(
                "batch_work:store_upgrade",
                "Bring the tables for batches in a PostgreSQL database up to date.",
                ":OUTCOME",
            ),
        },
    },
    "test": {
        "run": Entry(
            "test:run", "Run the tests in scenario files against an application, on a private sandbox."
        ),
        "crawl": Entry(
            "test_crawl:crawl", "Explore the menu of an application, and find its faults.", ":VIEW"
        ),
        "record": Entry(
            "test_record:record", "Write a scenario from a call to your application, for 'test run'."
        ),
        "init": Entry(
            "test_init:init", "Write a first scenario file, and a small application to try it on.", ":VIEW"
        ),
        "schema": Entry("test:schema", "Print the JSON Schema for scenario files, for use in an editor."),
    },
    "ncco": {
        "lint": Entry("ncco:lint", "Check an NCCO, and list each problem with its location.", ":VIEW"),
        "schema": Entry("ncco:schema", "Print the JSON Schema for NCCOs, for use in an editor."),
    },
    "webhook": {
        "serve": Entry("serve:serve", "Receive webhooks: answer calls, and store every event.", "EVENT"),
        "list": Entry("webhook:list_", "List stored events.", "EVENT"),
        "tail": Entry("webhook:tail", "Show the latest events, and each new one as it is stored.", "EVENT"),
        "replay": Entry("webhook:replay", "Resend stored events to a URL of your choice.", ":REPLAYED"),
        "purge": Entry("webhook:purge", "Delete old events permanently.", ":PURGED"),
        "verify": Entry(
            "webhook:verify", "Check the signature of a request, and explain the result.", ":CHECK"
        ),
    },
    "recording": {
        "list": Entry("recording:list_", "List the recordings reported by stored events.", ":RECORDING"),
        "download": Entry("recording:download", "Download recordings and transcriptions.", ":FILE"),
    },
    "profile": {
        "add": Entry(
            "profile:add", "Store an application, its key and its guards (limits on its calls).", ":VIEW"
        ),
        "list": Entry("profile:list_", "List the profiles.", ":LISTED"),
        "show": Entry("profile:show", "Show a profile, and where each setting comes from.", ":IN_FORCE"),
        "use": Entry("profile:use", "Make a profile the default."),
        "remove": Entry("profile:remove", "Delete a profile and its secrets."),
    },
    "jwt": {
        "create": Entry("jwt:create", "Create a token for the application, and print it."),
        "show": Entry(
            "jwt:show", "Decode a token: show its claims and times, and whether your key signed it.", ":VIEW"
        ),
    },
    "app": {
        "show": Entry("application:show", "Show the application's settings on the platform.", ":VIEW"),
        "urls": Entry("application:urls", "Show or set the application's webhook URLs.", ":URLS"),
    },
    "number": {
        "list": Entry(
            "number:list_",
            "List the account's phone numbers, and the applications to which they are linked.",
            ":VIEW",
        ),
        "link": Entry("number:link", "Link a number to the application.", ":VIEW"),
        "unlink": Entry("number:unlink", "Unlink a number from the application.", ":VIEW"),
    },
    "user": {
        "list": Entry("user:list_", "List the application's users, newest first.", ":LISTED"),
        "create": Entry("user:create", "Create an app user, who can be called at app:NAME.", ":VIEW"),
        "show": Entry("user:show", "Show an app user.", ":VIEW"),
        "remove": Entry("user:remove", "Delete an app user.", ":REMOVED"),
    },
    "doctor": Entry("doctor:doctor", "Check the set-up, from the private key to the API.", ":VIEW"),
    "sandbox": {
        "start": Entry("sandbox:start", "Start a sandbox on this machine.", ":VIEW"),
        "stop": Entry("sandbox:stop", "Stop the sandbox."),
        "status": Entry("sandbox:status", "Show the state of the sandbox.", ":VIEW"),
        "reset": Entry("sandbox:reset", "Delete the sandbox's calls and faults."),
        "exec": Entry(
            "sandbox_exec:exec_",
            "Run a command with a private sandbox in place of the platform.",
            is_wrapper=True,
        ),
        "env": Entry(
            "sandbox_env:env", "Print shell commands that let other programs use the running sandbox."
        ),
        "log": Entry(
            "sandbox_parties:log",
            "List requests, webhooks, the parties' actions and changes to legs.",
            ":LOG",
        ),
        "ring": Entry("sandbox_parties:ring", "Make an inbound call, as a caller would.", "CALL"),
        "answer": Entry("sandbox_parties:answer", "Answer a ringing leg, as the called party.", "CALL"),
        "press": Entry("sandbox_parties:press", "Press keys as the person on a leg.", "CALL"),
        "say": Entry("sandbox_parties:say", "Say something as the person on a leg.", "CALL"),
        "hangup": Entry("sandbox_parties:hangup", "Hang up as the person on a leg.", "CALL"),
        "hear": Entry("sandbox_parties:hear", "List what the person on a leg heard, in order.", ":HEARD"),
        "advance": Entry("sandbox_parties:advance", "Advance the sandbox's call clock.", ":CLOCK"),
        "fault": {
            "add": Entry("fault:add", "Add a fault that makes the sandbox misbehave.", ":VIEW"),
            "list": Entry("fault:list_", "List the faults that were added.", ":LISTED"),
            "clear": Entry("fault:clear", "Remove all faults, or one."),
        },
    },
    "demo": Entry("demo:demo", "Watch a call from dialling to hang-up, in a private sandbox."),
    "completion": {
        "bash": Entry("completion:bash", "Print the completion script for bash."),
        "zsh": Entry("completion:zsh", "Print the completion script for zsh."),
        "fish": Entry("completion:fish", "Print the completion script for fish."),
    },
    "help": Entry("help:help_", "Show help for a command or topic."),
    "commands": Entry(
        "commands:commands", "List all commands, or print the whole command tree as JSON.", ":VIEW"
    ),
}

SECTIONS = {
    "Live legs": (
        "talk",
        "stream",
        "dtmf",
        "mute",
        "unmute",
        "earmuff",
        "unearmuff",
        "hangup",
        "transfer",
        "move",
        "wait",
        "watch",
        "trace",
    ),
    "Calls": ("call", "conversation", "batch"),
    "Call flows": ("test", "ncco"),
    "Webhooks": ("webhook", "recording"),
    "Identity": ("profile", "jwt", "app", "number", "user", "doctor"),
    "Sandbox": ("sandbox", "demo"),
    "Help and shell": ("help", "commands", "completion"),
}
"""The sections of the list of commands in the help."""

GROUP_HELP = {
    "": f"""Control live phone calls through the Vonage Voice API.

    A LEG is one party's connection. Name it by its id (or at least the first 4 characters), by to:NUMBER or
    from:NUMBER (the whole number, or at least its first 4 digits), or by @last (the last call created; on a terminal
    only), or give - to read it from standard input. Partial ids and numbers are looked up among live legs; 'call
    show' and 'trace' find ended legs too.

    To get started:
      {PROGRAM} demo                  watch a call, with no account and no phone
      {PROGRAM} profile add NAME --application-id ID --private-key FILE
      {PROGRAM} doctor                check the set-up

    Exit statuses, settings and files: {PROGRAM} help exit-statuses, help environment, help files.
    """,
    "call": "Create calls and show them.",
    "conversation": "Show conversations, speak or play audio to them, and record them. Name a conversation by its"
    " room name or by its id (CON-...).",
    "batch": "Call many people, track the progress, and report who was reached.",
    "store": "Prepare a PostgreSQL database for batches that several machines run together.",
    "test": "Test an application that answers calls, on a sandbox.",
    "ncco": "Check call flows (NCCOs, Nexmo Call Control Objects).",
    "webhook": "Answer calls, and receive and store their events.",
    "recording": "List and download recordings and transcriptions.",
    "profile": "Manage profiles: applications, their keys and guards (limits on their calls).",
    "jwt": "Create and decode an application's tokens.",
    "app": "Show the application's settings, and set its webhook URLs.",
    "number": "List the account's phone numbers, and link them to the application.",
    "user": "Manage app users, who sign in to the application with a Client SDK.",
    "sandbox": """Run a stand-in for the voice platform: no account, no phone, no cost.

    The last three digits of a number from 447700900000 to 447700900999 determine how the other party behaves. All
    other numbers answer after 2 s and stay silent. With 'sandbox ring', callers whose numbers end in 1NN, 5NN or
    7NN do the same once answered.

    A number ending in:
      000-099  answers after 2 s         300  is voicemail with a beep
      1NN      presses the keys NN       301  is voicemail without a beep
      200      is busy                   4NN  answers after NN s
      201      declines                  5NN  hangs up NN s after answering
      202      rings until it times out  600  answers if you run 'sandbox answer'
      203      cannot be routed          7NN  says phrase NN
      204      is unavailable
      205      is not a valid number

    When the call flow starts to listen, the party responds after 1 s, with its phrase or with one key per input
    action.

    Phrases (10 to 99 repeat these in order):
      00  yes            05  sales
      01  no             06  support
      02  hello          07  one two three four
      03  help           08  I would like to speak to somebody
      04  operator       09  please call me back tomorrow

    'voicectl help sandbox-choices' lists what the sandbox does where the platform's documentation is silent.
    """,
    "fault": "Make the sandbox misbehave, to test a runbook against failures.",
    "completion": "Print the completion script for a shell.",
}


def all_entries(tree: Tree = COMMANDS, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Entry]]:
    """Yield each command as a tuple of its words, such as ``("call", "list")``, with its entry."""
    for name, entry in tree.items():
        if isinstance(entry, Entry):
            yield (*path, name), entry
        else:
            yield from all_entries(entry, (*path, name))


def all_groups(tree: Tree = COMMANDS, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield each group of commands as a tuple of its words, such as ``("sandbox", "fault")``."""
    for name, entry in tree.items():
        if not isinstance(entry, Entry):
            yield (*path, name)
            yield from all_groups(entry, (*path, name))


def all_commands() -> Iterator[tuple[str, ...]]:
    """Yield each command as a tuple of its words, such as ``("call", "list")``."""
    return (words for words, _ in all_entries())
