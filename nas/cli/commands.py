"""Every command by its name."""

from __future__ import annotations

from collections.abc import Mapping

from nas.cli.doctor import Doctor
from nas.cli.look import Profile, Show, Spaces, Status
from nas.cli.parse import Command
from nas.cli.rank import Rank
from nas.cli.recipes import Recipes
from nas.cli.search import Resume, Search
from nas.cli.take import Export, Train

COMMANDS: Mapping[str, type[Command]] = {
    "search": Search,
    "run": Recipes,
    "resume": Resume,
    "status": Status,
    "show": Show,
    "train": Train,
    "export": Export,
    "spaces": Spaces,
    "profile": Profile,
    "rank": Rank,
    "doctor": Doctor,
}
