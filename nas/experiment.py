"""What an experiment is given: a run's folder, an executor, and the pieces put together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, final

import numpy as np

from nas import plugins
from nas.data import Data, load
from nas.errors import UserError
from nas.evaluators import Scratch, Source
from nas.evaluators.oneshot import Inherited
from nas.evaluators.promoted import thin
from nas.evaluators.rating import CALIBRATION
from nas.oneshot import judged, some, trained
from nas.options import Options, Screen, make_executor, refuse_missing, share
from nas.problem import Metrics, Problem, State, Trial, maximise
from nas.roles import Evaluator, Executor, Strategy
from nas.run import Run
from nas.space import Architecture, Json, Space
from nas.strategies.listed import Listed
from nas.study import Terms, best_of
from nas.training import Recipe
from nas.training.sharing import Method

T = TypeVar("T")


@final
class Experiment:
    """A published system being run: it searches, and does each costly thing once."""

    def __init__(self, run: Run, options: Options, screen: Screen, seed: int) -> None:
        self.run, self._options, self._screen, self.seed = run, options, screen, seed
        self._executor: Executor | None = None

    @staticmethod
    def open(
        name: str,
        config: Any,
        out: Path | None,
        *,
        executor: str,
        workers: int,
        screen: Screen,
        ray: str = "",
        gpus: float | None = None,
    ) -> Experiment:
        """The run of an experiment under a Config; a folder of another Config is refused."""
        if executor not in ("ray", "local"):
            raise UserError(f"no executor is called {executor!r}", fix="there are: ray, local")
        settings = {
            "experiment": name,
            "format": 1,
            "config": {k: v for k, v in asdict(config).items() if k != "trials"},
        }
        code = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=4).hexdigest()
        run = Run.open(out or Path("runs") / f"{name}-{code}", settings)
        if json.dumps(run.settings, sort_keys=True) != json.dumps(settings, sort_keys=True):
            run.close()
            raise UserError(f"{run.folder} holds another run", fix="give another --out")
        kind: Literal["ray", "local"] = "ray" if executor == "ray" else "local"
        options = Options(executor=kind, workers=workers, ray=ray, gpus_per_trial=share(gpus, cluster=bool(ray)))
        refuse_missing(options)
        return Experiment(run, options, screen, int(getattr(config, "seed", 0)))

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.run.folder

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What `make` makes (plain values), or what an earlier start of this run made."""
        return self.run.once(name, make)

    def data(self, spec: str, image_size: int = 0) -> Data:
        """A data set, train and validation alone; image_size: the side its images are brought to, 0 for their own."""
        return load(spec, seed=self.seed, image_size=image_size or None)

    def space(self, name: str, data: Data, **settings: Any) -> Space:
        """A space for the images of a data set."""
        return plugins.space(name, input=data.info.input, classes=data.info.classes, **settings)

    def scratch(self, space: Space, data: Data, *, epochs: int, images: int = 0, rated: int = 0) -> Scratch:
        """The evaluator that trains from scratch, on so many images, and rates on so many; 0 for all."""
        source = self._source(data, images)
        return Scratch(space, source, Recipe(epochs=epochs), rated=rated)

    def _source(self, data: Data, images: int) -> Source:
        _, height, width = data.info.input
        return Source(data.info.spec, self.seed, data.info.hash, images, height if height == width else None)

    def shared(
        self,
        problem: Problem,
        data: Data,
        method: Method,
        *,
        recipe: Recipe,
        images: int = 0,
        study: str = "supernet",
        seed: int = 0,
    ) -> Path:
        """The folder of shared weights, trained once by a method on the training images; seconds are in `timed`.

        seed: added to the run's, for several trainings of one kind.
        """
        source = self._source(data, images)
        return trained(
            self.run,
            self._screen,
            self._worker,
            problem,
            source,
            recipe,
            method,
            seed=self.seed + seed,
            study=study,
            needs=self._options.needs,
        )

    def _worker(self) -> Executor:
        """One worker with the machine to itself."""
        self.close_workers()
        one = replace(self._options, workers=1, timeout=None)
        return make_executor(one, self.run.folder.name, self._screen, whole=True)

    def timed(self, study: str = "supernet") -> float:
        """The seconds that a training of shared weights took."""
        return round(float(self.run.store.fact(study)["seconds"]), 1)

    def inherited(
        self, space: Space, data: Data, folder: Path, *, calibration: int = CALIBRATION, images: int = 0
    ) -> Inherited:
        """The evaluator that rates by the weights of the supernet in a folder."""
        source = self._source(data, 0)
        return Inherited(space, source, folder, calibration, images)

    def rate(
        self,
        problem: Problem,
        archs: Sequence[Architecture],
        evaluate: Evaluator,
        *,
        study: str,
        epochs: int = 0,
        seed: int | None = None,
    ) -> dict[Architecture, Metrics]:
        """What an evaluator says of each architecture; those that failed are left out."""
        begun = [trial.arch for trial in self.run.trials(study)]  # a start with more trials may have found others
        every = [*begun, *(arch for arch in archs if arch not in begun)]
        asked: dict[str, Any] = {"trials": len(every), "study": study, "epochs": epochs, "seed": seed}
        self.search(problem, strategy=Listed(every), evaluate=evaluate, **asked)
        rated = (State.DONE, State.REPEAT)
        return {t.arch: t.metrics for t in self.run.trials(study) if t.state in rated and t.arch in archs}

    def check(
        self,
        problem: Problem,
        data: Data,
        evaluate: Evaluator,
        *,
        count: int,
        epochs: int,
        images: int = 0,
        rated: int = 0,
        score: str = "accuracy",
        study: str = "check-ratings",
    ) -> dict[str, Json] | None:
        """How the ratings rank `count` random members by what they reach when each is trained alone; None for 0.

        score: the metric of `evaluate` that ranks, larger is better. Kendall's tau with its bootstrap interval, beside
        that of counting MACs and parameters. study: of the ratings, another one for each evaluator of a run.
        """
        if not count:
            return None
        free = replace(problem, objectives=(maximise("accuracy"),))
        archs = some(free, count, np.random.default_rng(self.seed + 2**31))
        alone = self.scratch(problem.space, data, epochs=epochs, images=images, rated=rated)
        real = self.rate(free, archs, alone, study="check", epochs=epochs)
        said = self.rate(replace(free, objectives=(maximise(score),)), archs, evaluate, study=study)
        return judged(free, real, said, score=score, seed=self.seed)

    def search(
        self,
        problem: Problem,
        *,
        strategy: Strategy,
        evaluate: Evaluator,
        trials: int,
        study: str = "search",
        epochs: int = 0,
        seed: int | None = None,
    ) -> list[Trial]:
        """The trials of a search, best first; seed: of the search and its trainings, by default the run's."""
        if self._executor is None:
            self._executor = make_executor(self._options, self.run.folder.name, self._screen)
        self._screen.phase(study, trials)
        terms = Terms(study, self.run.folder.name, self.run.folder.resolve(), epochs=epochs)
        self.run.search(
            problem,
            strategy=strategy,
            evaluate=evaluate,
            executor=self._executor,
            terms=terms,
            trials=trials,
            seed=self.seed if seed is None else seed,
            watch=self._screen.search,
        )
        thin(self.run.folder / study, 0)  # nobody is promoted any more
        return best_of(problem, self.run.trials(study), trials)

    def close_workers(self) -> None:
        """Stop the workers; the next search starts others."""
        if self._executor is not None:
            self._executor.close()
            self._executor = None

    def close(self) -> None:
        """Stop the workers and let go of the run."""
        self.close_workers()
        self.run.close()
