"""The program's entry. ``--version`` is answered before anything else is loaded."""

import sys

from voicectl import __version__


def main() -> None:
    """Run ``voicectl`` with the words of the command line and exit with its status."""
    if sys.argv[1:] == ["--version"] and sys.stdout is not None:
        print(f"voicectl {__version__}")  # noqa: T201 (before the output edge is loaded)
        sys.exit(0)
    from voicectl.cli.app import run  # noqa: PLC0415 (see above)
    from voicectl.interrupts import Interrupts  # noqa: PLC0415

    interrupts = Interrupts()
    interrupts.install()
    sys.exit(run(sys.argv[1:], interrupts=interrupts))


if __name__ == "__main__":
    main()
