"""The command line: `nas COMMAND`, one dataclass a command, its flags made from the fields."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

from nas.cli.commands import COMMANDS, command
from nas.cli.parse import parse
from nas.cli.speak import complain, speak
from nas.errors import ENVIRONMENT, INTERRUPTED, UserError, nearest

SUMMARY = "Neural architecture search: one tree with holes, a trained network at the end."


def main(args: Sequence[str] | None = None) -> None:
    """Run a command and leave with its exit code: 0 done, 2 usage, 3 nothing feasible, 4 interrupted, 5 environment."""
    given = list(sys.argv[1:] if args is None else args)
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(run(given))


def run(args: list[str]) -> int:
    """Run a command, and say what went wrong in one line; the exit code."""
    json = "--json" in args
    resume = ""
    try:
        if not args or args[0] in ("-h", "--help", "help"):
            print(_overview())
            return 0
        if args[0] == "--version":
            from nas import __version__  # noqa: PLC0415  # rarely

            print(__version__)
            return 0
        if args[0] not in COMMANDS:
            raise nearest(args[0], COMMANDS, what="command")
        if args[0] == "run" and len(args) > 1 and not args[1].startswith("-"):
            from nas.cli.recipes import run_experiment  # noqa: PLC0415  # rarely

            said = run_experiment(args[1], args[2:])
            if said is not None:
                speak(said, json=json)
            return said.code if said else 0
        asked = parse(command(args[0]), args[1:], prog=f"nas {args[0]}")
        if asked is None:
            return 0
        resume = asked.resume()
        said = asked.run()
        if said is not None:
            speak(said, json=json)
        return asked.code(said)
    except UserError as error:
        complain(error.message, error.fix, error.code, json=json)
        return error.code
    except KeyboardInterrupt:
        complain("interrupted; everything finished is kept", resume, INTERRUPTED, json=json)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        complain(what, resume or "mend it and give the same command again", ENVIRONMENT, json=json)
        return ENVIRONMENT


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join([SUMMARY, "", "Usage: nas COMMAND [FLAGS]", "", *lines, "", "nas COMMAND --help tells more."])


__all__ = ["main", "run"]
