"""Every command by its name: where it is, and what it does; each is imported when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from nas.cli.parse import Command

COMMANDS: Mapping[str, tuple[str, str]] = {
    "search": ("search.Search", "Search for a network, train the best, test it once and export it."),
    "run": ("recipes.Recipes", "Run a published system; without a name, list them."),
    "resume": ("search.Resume", "Go on with a run that was interrupted, or ask for more trials of it."),
    "status": ("look.Status", "How far a run is."),
    "show": ("look.Show", "Every trial of a run: what was tried, what it came to, why it failed; or a network, drawn."),
    "train": (
        "take.Train",
        "Train a network on train and validation images together, and test it once: of a run, or any by --data.",
    ),
    "export": ("take.Export", "Write a network of a run as plain PyTorch, and prove it equal to the trained one."),
    "spaces": ("spaces.Spaces", "The search spaces there are; or the laws of a space, checked on one's own."),
    "profile": ("spaces.Profile", "What a network costs, layer by layer, without building it."),
    "scale": (
        "scale.Scale",
        "A network, larger or smaller: what it then costs, and a file of it to profile, search around or build.",
    ),
    "design": (
        "design.Design",
        "The best network for a budget by a mathematical program, with a bound on all others. Needs no data.",
    ),
    "specialise": (
        "specialise.Specialise",
        "From one supernet the best sub-network for each of several targets, without training, and exported.",
    ),
    "latency": (
        "latency.Latency",
        "How long networks take on a device: measured, or summed from a table of layers that this command measures.",
    ),
    "bench": (
        "bench.Bench",
        "What strategies find on a table of measured networks, beside random search, in simulated time.",
    ),
    "proxies": (
        "proxies.Proxies",
        "Score untrained networks: random ones of a space, or those of a run beside the accuracy that they reached.",
    ),
    "rank": ("rank.Rank", "Rank networks by a predictor that learnt from those trained, and say how far to trust it."),
    "doctor": ("doctor.Doctor", "What this machine has, and what is missing, each with its cure."),
}


def command(name: str) -> type[Command]:
    """The dataclass of a command."""
    file, made = COMMANDS[name][0].split(".")
    found: type[Command] = getattr(importlib.import_module(f"nas.cli.{file}"), made)
    return found
