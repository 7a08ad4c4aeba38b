"""The loop of a search: ask, screen, submit, wait, tell. There is no other."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import numpy as np

from nas.best import averaged, best_of
from nas.budgets import origin
from nas.errors import UserError
from nas.problem import Metrics, Problem, Proposal, Screening, State, Trial
from nas.progress import Progress, Watch
from nas.roles import Evaluator, Executor, Failed, Infeasible, Lost, Needs, Outcome, Strategy, Task
from nas.store import Store

FREE = 50
"""How many proposals that cost nothing, repeats and infeasible ones, a run may make for each trial it was asked for."""
AHEAD = 4
"""Of so many workers one finds its next trial asked for already, where asking takes long."""
LOSSES = 3
"""How often a trial is put back after its machine went away, before it counts as failed."""


@final
@dataclass(frozen=True)
class Terms:
    """How a study's trials are run; none of this changes their results.

    study: its name in the ledger; title: its name for people; folder: of the run; timeout: of one trial, in seconds.
    """

    study: str
    title: str
    folder: Path
    needs: Needs = Needs()
    timeout: float | None = None
    epochs: int = 0


def search(
    problem: Problem,
    strategy: Strategy,
    evaluate: Evaluator,
    executor: Executor,
    store: Store,
    terms: Terms,
    *,
    trials: int,
    seed: int,
    watch: Watch = lambda progress: None,
) -> Progress:
    """Try architectures until `trials` of them are done or failed; go on where an earlier start of the study stopped.

    Trials with a budget count by the part of a whole training, `terms.epochs`, that they train themselves.

    Raises UserError where the ledger does not fit the strategy.
    """
    study = _Study(problem, strategy, evaluate, executor, store, terms, trials, seed, watch)
    study.replay()
    study.run()
    return study.progress


@final
class _Study:
    def __init__(
        self,
        problem: Problem,
        strategy: Strategy,
        evaluate: Evaluator,
        executor: Executor,
        store: Store,
        terms: Terms,
        trials: int,
        seed: int,
        watch: Watch,
    ) -> None:
        self.problem, self.strategy, self.evaluate, self.executor = problem, strategy, evaluate, executor
        self.store, self.terms, self.seed, self.watch = store, terms, seed, watch
        self.progress = Progress(trials, problem, full=terms.epochs)
        self.last = 0
        self.known: dict[tuple[str, int | None, int], Trial] = {}
        self.repeats: dict[int, list[Trial]] = {}
        self.started: dict[int, float] = {}

    def replay(self) -> None:
        """Bring the strategy to where the ledger says it was; trials that ran when the driver died are put back."""
        same = self.store.same(self.terms.study)
        running: dict[int, Trial] = {}
        for event in self.store.events(self.terms.study):
            trial = event.trial
            if event.kind == "ask":
                proposal = self.strategy.ask(_rng(self.seed, trial.id))
                if proposal is None or (proposal.arch, proposal.budget) != (trial.proposal.arch, trial.proposal.budget):
                    raise UserError(
                        f"trial {trial.id} of the ledger is {trial.arch.key}, but the strategy now proposes "
                        f"{proposal.arch.key if proposal else 'nothing'}: "
                        "the ledger was written by another strategy or version",
                        fix="give another --out to begin anew",
                    )
                running[trial.id], self.last = trial, trial.id
            else:
                del running[trial.id]
                self.strategy.tell(trial)
                self.progress.add(trial)
                if trial.state is not State.REPEAT:
                    self.known[_name(trial, same[trial.id])] = trial
        self.progress.waiting.extend(replace(t, state=State.RUNNING) for t in running.values())

    def run(self) -> None:
        """The loop. A worker that became free is given work before anything else is looked at."""
        waiting = self.progress.waiting
        while True:
            while len(self.progress.running) < self.executor.capacity and (
                trial := waiting.popleft() if waiting else self.ask()
            ):
                self.begin(trial)
            self.watch(self.progress)
            if not self.progress.running:
                return
            ended = self.executor.wait(0.0 if self.ahead() else 1.0)
            for report in self.executor.reports():
                self.store.report(self.terms.study, report.trial, report.epoch, report.metrics)
                self.progress.epochs[report.trial] = report.epoch
            for number, outcome in ended:
                self.end(self.progress.running.pop(number), outcome)

    def ahead(self) -> bool:
        """Ask for a trial to come while the workers train, where asking takes long; whether it did.

        One worker alone waits instead: the strategy then knows of all that was tried.
        """
        workers, waiting = self.executor.capacity, len(self.progress.waiting)
        if not getattr(self.strategy, "slow", False) or workers == 1 or waiting * AHEAD >= workers:
            return False
        trial = self.ask()
        if trial is not None:
            self.progress.waiting.append(trial)
        return trial is not None

    def ask(self) -> Trial | None:
        """What the strategy proposes while trials are wanted."""
        begun = len(self.progress.running) + len(self.progress.waiting)
        counted = begun + sum(self.progress.states.get(s, 0) for s in (State.DONE, State.FAILED))
        if not self.progress.wants or self.last - counted >= FREE * self.progress.trials:
            return None
        proposal = self.strategy.ask(_rng(self.seed, self.last + 1))
        if proposal is None:
            return None
        trial = self.store.ask(self.terms.study, proposal, self.problem.screen(proposal.arch).same)
        self.last = trial.id
        return trial

    def begin(self, trial: Trial) -> None:
        """Screen a trial before any device is asked, then submit it."""
        screening = self.problem.screen(trial.arch)
        first = self.known.get(_name(trial, screening.same))
        if screening.broken:
            self.finish(replace(trial, state=State.INFEASIBLE, metrics=screening.metrics, reason=screening.broken))
        elif first is None or first.id == trial.id:
            self.submit(trial, screening)
        elif first.id in self.progress.running:
            self.repeats.setdefault(first.id, []).append(trial)
        else:
            self.repeat(trial, first)

    def submit(self, trial: Trial, screening: Screening) -> None:
        self.known[_name(trial, screening.same)] = trial
        self.progress.running[trial.id] = trial
        self.started[trial.id] = time.monotonic()
        self.executor.submit(
            Task(
                trial.id,
                f"{self.terms.title} / trial {trial.id} {trial.arch.space}-{trial.arch.key[:4]}",
                self.evaluate,
                trial.proposal,
                self.seed,
                self.folder(trial.id),
                None if trial.proposal.parent is None else self.folder(trial.proposal.parent),
                self.terms.needs,
                self.terms.timeout,
                trial.proposal.budget or self.terms.epochs,
                origin(trial, self.progress.told).id,
            )
        )

    def folder(self, trial: int) -> Path:
        return self.terms.folder / self.terms.study / str(trial)

    def end(self, trial: Trial, outcome: Outcome) -> None:
        """Take in the outcome of a trial that ran, and of those that wait because their network is the same."""
        seconds = time.monotonic() - self.started.pop(trial.id)
        screening = self.problem.screen(trial.arch)
        try:
            metrics: Metrics = {**screening.metrics, **outcome()}
            trial = replace(trial, state=State.DONE, metrics=metrics, seconds=seconds)
            if not self.problem.rates(metrics):
                wanted = ", ".join(name for o in self.problem.objectives for name in o.reads if name not in metrics)
                trial = replace(trial, state=State.FAILED, reason="error", error=f"the evaluator gave no {wanted}")
        except Infeasible as limit:
            metrics = {**screening.metrics, **limit.metrics}
            trial = replace(trial, state=State.INFEASIBLE, metrics=metrics, reason=limit.reason, seconds=seconds)
        except Failed as failed:
            error = failed.trace or failed.message
            trial = replace(
                trial, state=State.FAILED, metrics=screening.metrics, reason=failed.reason, error=error, seconds=seconds
            )
        except Lost as lost:
            if self.store.lose(self.terms.study, trial) <= LOSSES:
                self.store.restart(self.terms.study, trial)
                self.progress.waiting.append(trial)
                return
            error = f"lost {LOSSES + 1} times, last: {lost}"
            trial = replace(
                trial, state=State.FAILED, metrics=screening.metrics, reason="died", error=error, seconds=seconds
            )
        self.known[_name(trial, screening.same)] = trial
        self.finish(trial)
        for repeat in self.repeats.pop(trial.id, []):
            self.repeat(repeat, trial)

    def repeat(self, trial: Trial, first: Trial) -> None:
        """End a trial whose network is one that was tried: its metrics at no cost, with its own params and MACs."""
        own = self.problem.screen(trial.arch).metrics
        metrics = {**first.metrics, **own} if first.state is State.DONE else own
        reason = f"the network of trial {first.id}" + (
            f", which is {first.state}" if first.state is not State.DONE else ""
        )
        self.finish(replace(trial, state=State.REPEAT, metrics=metrics, reason=reason))

    def finish(self, trial: Trial) -> None:
        self.store.finish(self.terms.study, trial)
        self.strategy.tell(trial)
        self.progress.add(trial)


def _name(trial: Trial, same: str) -> tuple[str, int | None, int]:
    """What two trials have in common of which the second is a repeat."""
    return same, trial.proposal.budget, trial.proposal.again


def _rng(seed: int, trial: int) -> np.random.Generator:
    return np.random.default_rng((seed, trial))


__all__ = ["Progress", "Proposal", "Terms", "Watch", "averaged", "best_of", "search"]
