"""The main job: search, train on an executor, retrain the best on all images, test once, hand over the network."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal, final

import numpy as np

from nas import plugins
from nas.alone import alone
from nas.beginning import SCORES, begins, taken, warmed
from nas.errors import INFEASIBLE, UserError
from nas.evaluators import Retrained, Scratch
from nas.evaluators.oneshot import Inherited
from nas.evaluators.promoted import thin
from nas.evaluators.rating import CALIBRATION
from nas.finding import CHECK, CHOSEN, ENDED, FINAL, FIRST, Finding
from nas.oneshot import judged, some, trained
from nas.options import EMBEDDED, Options, Screen, Silent, make_executor, refuse_missing, share
from nas.problem import Constraint, Problem, Proposal, State, Trial
from nas.roles import Evaluator, Executor, Strategy, Task
from nas.run import Run
from nas.settings import Settings, differs
from nas.settle import folder_of, settle
from nas.space import Architecture
from nas.strategies.listed import Listed
from nas.strategies.warm import Warm
from nas.study import Progress, Terms, Watch
from nas.training.rules import RULES
from nas.training.sharing import ByRule
from nas.units import LIMITS

APART = 2**31
"""Added to the seed for the random search beside, so that it draws other architectures."""


def start(settings: Settings, options: Options, *, out: Path | None = None, screen: Screen | None = None) -> Finding:
    """Search under these settings, or go on with the search in the folder; at the end the best is trained and exported.

    Raises UserError with code 3 where no network is found, and KeyboardInterrupt with everything finished on disk.
    """
    screen = screen or Silent()
    refuse_missing(options)
    folder = out or folder_of(settings)
    run = Run.open(folder, settings.json())
    try:
        finding = Finding(run)
        other = differs(finding.settings, settings)
        if other:
            raise UserError(f"{folder} holds another run: its {other}", fix="give another --out")
        finding.settings.check_code()
        began = time.monotonic()
        run.store.put("options", asdict(options))
        _Main(finding, options, screen).all()
        run.store.put("seconds", (run.store.fact("seconds") or 0.0) + time.monotonic() - began)
    finally:
        run.close()
    return Finding.read(folder)


@final
class _Main:
    def __init__(self, finding: Finding, options: Options, screen: Screen) -> None:
        self.finding, self.options, self.screen = finding, options, screen
        self.settings, self.run = finding.settings, finding.run
        self.executor: Executor | None = None

    def all(self) -> None:
        try:
            self.study("search", self.settings.strategy, self.settings.seed)
            if not self.finding.ranked(1):
                raise UserError(self.finding.nothing(), code=INFEASIBLE, fix=f"see `nas show {self.run.folder}`")
            if self.options.baseline:
                self.study(f"baseline-{self.options.baseline}", self.options.baseline, self.settings.seed + APART)
            self.check()
            best = self.finding.ranked(1)[0]
            if best.arch.key not in self.finding.trained():
                self.retrain(best)
        finally:
            if self.executor is not None:
                self.executor.close()

    def study(self, name: str, strategy: str, seed: int) -> None:
        if self.finding.done(self.options.trials, name):
            return
        settings, problem = self.settings, self.settings.problem
        evaluate = self.evaluator()
        proposes = plugins.strategy(strategy, problem, **({} if settings.supernet else {"most": settings.epochs}))
        first = self.first() if name == "search" else []
        proposes = Warm(proposes, first) if first else proposes
        epochs = 0 if settings.supernet else settings.epochs
        if name == "search":
            self.run.store.put(CHOSEN, None)  # of fewer trials: what comes now may be better
        progress = self.searched(name, proposes, evaluate, seed, self.options.trials, epochs)
        if name == "search":
            self.choose(proposes)
        self.run.store.put(ENDED, {**(self.run.store.fact(ENDED) or {}), name: self.options.trials})
        if progress.finished < self.options.trials:
            told = f"{progress.finished} different networks within the limits in {progress.proposals} proposals"
            self.screen.say(f"{told}: the search ends before {self.options.trials}")

    def first(self) -> list[Architecture]:
        """What the search tries first, found once."""
        made = self.run.store.fact(FIRST)
        if made is None:
            if self.settings.warm_start == SCORES:
                self.screen.phase("scores of what to try first", 0)
            made = begins(self.settings, self.options.trials, lambda n, of: self.screen.epoch(n, of) if n else None)
            self.run.store.put(FIRST, made)
        return taken(made, self.settings)

    def choose(self, strategy: Strategy) -> None:
        """Enter which trial the strategy takes for the best, where it says so; the best rating may be luck."""
        chosen = getattr(strategy, "chosen", None)
        arch = chosen() if chosen is not None else None
        done = [t for t in self.run.trials() if t.state is State.DONE and t.arch == arch]
        self.run.store.put(CHOSEN, done[0].id if done else None)

    def searched(
        self, name: str, strategy: Strategy, evaluate: Evaluator, seed: int, trials: int, epochs: int
    ) -> Progress:
        """A study of the run, gone through or gone on with."""
        needs, folder = self.options.needs, self.run.folder
        terms = Terms(name, folder.name, folder.resolve(), needs, self.options.timeout, epochs)
        if self.executor is None:
            self.executor = make_executor(self.options, folder.name, self.screen)
        titles = {"search": "search", "check": "networks trained alone", "check-ratings": "their ratings"}
        self.screen.phase(titles.get(name, f"{self.options.baseline} search beside it"), trials, self.after(name))
        progress = self.run.search(
            self.settings.problem,
            strategy=strategy,
            evaluate=evaluate,
            executor=self.executor,
            terms=terms,
            trials=trials,
            seed=seed,
            watch=self.watched(),
        )
        thin(folder / name, 0)  # nobody is promoted any more
        return progress

    def evaluator(self) -> Evaluator:
        """What rates candidates: a training of each, or what they inherit from a supernet, which is trained first."""
        settings, problem = self.settings, self.settings.problem
        device = settings.measured
        recipe = settings.trained(settings.epochs)
        if not settings.supernet:
            return Scratch(problem.space, settings.source, recipe, device)
        folder = trained(
            self.run,
            self.screen,
            self.one_worker,
            problem,
            settings.source,
            replace(recipe, ema=0.0),  # of weights that few steps touch, an average lags behind
            ByRule(RULES[settings.supernet], {}),
            seed=settings.seed,
            needs=self.options.needs,
        )
        return Inherited(problem.space, settings.source, folder, limits=device)

    def one_worker(self) -> Executor:
        """An executor of one worker, with this machine to itself."""
        if self.executor is not None:
            self.executor.close()
            self.executor = None
        alone = replace(self.options, workers=1, timeout=None)
        return make_executor(alone, self.run.folder.name, self.screen, whole=True)

    def check(self) -> None:
        """Train some networks alone, and enter how the ratings by inherited weights rank them."""
        count, settings = self.options.check, self.settings
        if not settings.supernet or not count or (self.run.store.fact(CHECK) or {}).get("asked", 0) >= count:
            return
        free = Problem(settings.made_space, constraints=settings.problem.constraints)
        archs = some(free, count, np.random.default_rng(settings.seed + APART))
        scratch = Scratch(settings.made_space, settings.source, settings.trained(settings.alone))
        for name, evaluate, epochs in (("check", scratch, settings.alone), ("check-ratings", self.evaluator(), 0)):
            self.searched(name, Listed(archs), evaluate, settings.seed, len(archs), epochs)
        found = [{t.arch: t.metrics for t in self.run.trials(name)} for name in ("check", "check-ratings")]
        self.run.store.put(CHECK, {**judged(free, *found, seed=settings.seed), "asked": count})

    def after(self, name: str) -> float:
        """What comes behind a study, in trials: the one beside it, and the last training, which runs alone."""
        settings = self.settings
        there = settings.made_info.counts
        last = (there["train"] + there["validation"]) * settings.final_epochs
        trial = (settings.images or there["train"]) * settings.alone
        if settings.supernet and name != "check":  # a rating has forward passes alone
            trial = max(1, (CALIBRATION + there["validation"]) // 3)
        beside = self.options.trials if name == "search" and self.options.baseline else 0
        return beside + last / trial * getattr(self.executor, "capacity", 1)

    def watched(self) -> Watch:
        """What looks on: the screen, and on Ray the gauges."""
        if self.options.executor != "ray":
            return self.screen.search
        from nas.executors.gauges import Gauges  # noqa: PLC0415  # Ray is imported only where it is used

        gauges, began, workers = Gauges(self.run.folder.name), time.monotonic(), getattr(self.executor, "capacity", 1)

        def watch(progress: Progress) -> None:
            self.screen.search(progress)
            states = {str(k): n for k, n in progress.states.items()} | {"running": len(progress.running)}
            best = progress.best.metrics["accuracy"] if progress.best else None
            ended = progress.finished >= progress.trials
            gauges.update(states, best, workers * (time.monotonic() - began) / 3600, force=ended)

        return watch

    def retrain(self, best: Trial, epochs: int | None = None) -> None:
        """Train an architecture on train and validation images, test it once, and enter what came of it."""
        settings, key = self.settings, best.arch.key
        if self.executor is not None:
            self.executor.close()
        self.executor = make_executor(
            replace(self.options, workers=1, timeout=None), self.run.folder.name, self.screen, whole=True
        )
        recipe = settings.trained(epochs or settings.final_epochs)
        self.screen.phase(f"training {best.arch.space}-{key[:4]} on all images", 0)
        evaluate = Retrained(settings.made_space, settings.source, recipe)
        folder = self.run.folder.resolve() / FINAL / key
        title = f"{self.run.folder.name} / final {best.arch.space}-{key[:4]}"
        task = Task(best.id, title, evaluate, Proposal(best.arch), settings.seed, folder, epochs=recipe.epochs)
        metrics = alone(
            self.executor,
            task,
            lambda epoch: self.screen.epoch(epoch, recipe.epochs),
            what="the last training",
            fix="the search is whole; give the same command again",
        )
        costs = settings.problem.screen(best.arch).metrics
        made = {**costs, **metrics, "epochs": recipe.epochs, "trial": best.id}
        self.run.store.put(FINAL, {**self.finding.trained(), key: made})


def train(
    finding: Finding, trial: Trial, options: Options, *, epochs: int | None = None, screen: Screen | None = None
) -> Finding:
    """Train a trial's architecture on train and validation images, and test it once."""
    run = Run.open(finding.folder, finding.run.settings)
    try:
        main = _Main(Finding(run), options, screen or Silent())
        try:
            main.retrain(trial, epochs)
        finally:
            if main.executor is not None:
                main.executor.close()
    finally:
        run.close()
    return Finding.read(finding.folder)


def search(
    space: str = "",
    *,
    data: str = "",
    trials: int = EMBEDDED,
    limits: Mapping[str, float] | None = None,
    out: str | Path | None = None,
    executor: Literal["ray", "local"] = "ray",
    workers: int = 0,
    baseline: str = "",
    **more: Any,
) -> Finding:
    """Search a space on data, and go on where an earlier call with the same settings stopped.

    limits: by metric, {"params": 150e3}; more: what `settle` takes (strategy, seed, epochs, recipe) and `Options`.
    """
    known: dict[str, Any] = {name: more.pop(name) for name in ("ray", "timeout") if name in more}
    known["gpus_per_trial"] = share(more.pop("gpus_per_trial", None), cluster="ray" in known)
    options = Options(trials, executor, workers, baseline=baseline, **known)
    bounds = tuple(Constraint(LIMITS.get(metric, metric), value) for metric, value in (limits or {}).items())
    settings = settle(space=space, data=data, limits=bounds, gpu=options.gpus_per_trial > 0, **more)
    return start(warmed(settings), options, out=Path(out) if out else None)


__all__ = ["search", "start", "train"]
