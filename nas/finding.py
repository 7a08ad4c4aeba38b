"""A run of `nas search` to look at and to take networks from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, final

from safetensors import SafetensorError
from safetensors.torch import load_file

from nas.best import averaged, best_of
from nas.budgets import spent
from nas.build import Network, build
from nas.errors import ENVIRONMENT, INFEASIBLE, UserError
from nas.evaluators.scratch import WEIGHTS
from nas.problem import State, Trial
from nas.run import Run
from nas.settings import Settings
from nas.space import Json
from nas.tree import Node

if TYPE_CHECKING:
    import pandas as pd

CHOSEN = "chosen"
"""The fact of a run that says which trial its strategy takes for the best of the search, if it weighs that itself."""
ENDED = "ended"
"""The fact of a run that says which of its studies came to their end, and for how many trials."""
CHECK = "check"
"""The fact of a run that says how far the ratings of a supernet can be trusted."""
FIRST = "first"
"""The fact of a run that says which architectures it tries first, and where they come from."""
FINAL = "final"
"""The fact of a run that says what its last training came to."""


@final
@dataclass(frozen=True, eq=False)
class Found:
    """An architecture that a run has trained.

    weights: the folder that holds them: of the last training on all images if there was one, else of the trial.
    inherits: it was rated by what it inherits from the run's supernet, and has no weights of its own yet.
    """

    trial: Trial
    network: Node
    input: tuple[int, ...]
    weights: Path
    test: Mapping[str, float]
    inherits: bool = False

    def module(self) -> Network:
        """The trained network, in evaluation mode, for inputs (B, C, H, W)."""
        file = self.weights / WEIGHTS
        module = build(self.network, self.input)
        try:
            module.load_state_dict(load_file(file))
        except (OSError, SafetensorError, RuntimeError) as error:
            line = str(error).splitlines()[0]
            fix = f"train it again: nas train {self.weights.parent.parent} --trial {self.trial.id}"
            if self.inherits and not file.exists():
                what = f"trial {self.trial.id} was rated by the supernet and has no weights of its own"
                raise UserError(what, fix=fix.replace("train it again", "train it")) from None
            raise UserError(
                f"the weights of trial {self.trial.id} cannot be read: {line}", fix=fix, code=ENVIRONMENT
            ) from None
        return module.eval()


@final
class Finding:
    """A run of `nas search`: its settings, its trials, its best networks."""

    def __init__(self, run: Run) -> None:
        self.run = run

    @staticmethod
    def read(folder: str | Path) -> Finding:
        """The run in a folder, to be looked at."""
        return Finding(Run.read(Path(folder)))

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.run.folder

    @property
    def experiment(self) -> str:
        """The name of the experiment whose run it is; "" for a run of `nas search`."""
        return str(self.run.settings.get("experiment", ""))

    @cached_property
    def settings(self) -> Settings:
        """What the search was made from; UserError for a run of an experiment, which joins its pieces itself."""
        if self.experiment:
            what = f"{self.folder} is a run of the experiment {self.experiment}"
            raise UserError(what, fix=f"see its trials: nas show {self.folder} --study {' or '.join(self.studies)}")
        return Settings.from_json(self.run.settings)

    @property
    def studies(self) -> list[str]:
        """The names of its studies."""
        return self.run.store.studies()

    def frame(self, study: str = "search") -> pd.DataFrame:
        """A row a trial: id, state, reason, key, architecture, seconds, every metric and every choice."""
        return self.run.frame(study)

    def ranked(self, count: int, study: str = "search") -> list[Trial]:
        """The best trials of a study, best first; where the strategy chose one of the search, that stands first."""
        trials = self.run.trials(study)
        taken = self.run.store.fact(CHOSEN) if study == "search" else None
        ranked = best_of(self.settings.problem, trials, count)
        if taken is None:
            return ranked
        first = [t for t in averaged(trials) if t.id == taken]
        return [*first, *(t for t in ranked if t.id != taken)][:count]

    def best(self, rank: int = 1) -> Found:
        """The network of that rank; UserError where not so many are done."""
        ranked = self.ranked(rank)
        if len(ranked) < rank:
            done = len(ranked)
            what = (
                f"the run {self.folder} has {done} done trials, rank {rank} was asked for" if done else self.nothing()
            )
            raise UserError(what, fix="give a smaller rank" if done else "", code=INFEASIBLE if not done else 2)
        return self.found(ranked[rank - 1])

    def trial(self, number: int) -> Found:
        """The network of a trial; UserError where it is not done."""
        known = {t.id: t for t in self.run.trials()}
        if number not in known:
            raise UserError(f"the run {self.folder} has no trial {number}", fix=f"it has 1 to {max(known, default=0)}")
        if known[number].state is not State.DONE:
            what = f"trial {number} is {known[number].state}: {known[number].reason or 'it has no weights yet'}"
            raise UserError(what, fix=f"see `nas show {self.folder}`")
        return self.found(known[number])

    def found(self, trial: Trial) -> Found:
        """A done trial with its network and where its weights are."""
        self.settings.check_code()
        space = self.settings.made_space
        again = self.trained().get(trial.arch.key)
        where = self.folder / FINAL / trial.arch.key if again else self.folder / "search" / str(trial.id)
        test = {k: v for k, v in again.items() if k.startswith("test_")} if again else {}
        inherits = bool(self.settings.supernet) and not again
        return Found(trial, space.network(trial.arch), tuple(space.input), where, test, inherits)

    def trained(self) -> Mapping[str, Mapping[str, float]]:
        """What the trainings on all images came to, by the key of the architecture."""
        return self.run.store.fact(FINAL) or {}

    def done(self, trials: int, study: str = "search") -> bool:
        """Whether so many trials of a study are done or failed, or it ended because there were no more to try.

        Trials with a budget count by their part of a whole training, as in the loop.
        """
        states, ended = self.run.counts(study), self.run.store.fact(ENDED) or {}
        if ended.get(study, 0) >= trials:
            return True
        full = 0 if self.experiment or self.settings.supernet else self.settings.epochs
        return states["done"] + states["failed"] >= trials and spent(self.run.trials(study), full) >= trials * (
            full or 1
        )

    def nothing(self, study: str = "search") -> str:
        """Why no network was found, in one line."""
        trials = self.run.trials(study)
        reasons: dict[str, int] = {}
        for t in trials:
            what = f"{t.state} ({t.reason})" if t.state is State.FAILED else str(t.state)
            reasons[what] = reasons.get(what, 0) + 1
        counted = ", ".join(f"{n} {what}" for what, n in sorted(reasons.items())) or "none was tried"
        error = next((t.error.strip().splitlines()[-1] for t in trials if t.error.strip()), "")
        return f"no network was found in {len(trials)} proposals: {counted}" + (
            f"; the first error: {error}" if error else ""
        )


def options(finding: Finding) -> Mapping[str, Json]:
    """How the run was last started: trials, executor, workers and so on."""
    made: Mapping[str, Json] = finding.run.store.fact("options") or {}
    return made
