"""The command line: `nas COMMAND`, one dataclass a command, its flags made from the fields."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping, Sequence

from nas.cli.parse import Command, first_line, parse
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
        from nas.cli.commands import COMMANDS  # noqa: PLC0415  # so that --help needs no torch

        if not args or args[0] in ("-h", "--help", "help"):
            print(_overview(COMMANDS))
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
        command = parse(COMMANDS[args[0]], args[1:], prog=f"nas {args[0]}")
        if command is None:
            return 0
        resume = command.resume()
        said = command.run()
        if said is not None:
            speak(said, json=json)
        return command.code(said)
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


def _overview(commands: Mapping[str, type[Command]]) -> str:
    width = max(map(len, commands))
    lines = [f"  {name:<{width}}  {first_line(made)}" for name, made in commands.items()]
    return "\n".join([SUMMARY, "", "Usage: nas COMMAND [FLAGS]", "", *lines, "", "nas COMMAND --help tells more."])


__all__ = ["main", "run"]
