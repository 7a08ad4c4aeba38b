"""What an experiment is given: a run's folder, an executor, and the pieces put together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar, final

from nas import plugins
from nas.data import Data, load
from nas.errors import UserError
from nas.evaluators import Scratch, Source
from nas.options import Options, Screen, make_executor
from nas.problem import Problem, Trial
from nas.roles import Evaluator, Executor, Strategy
from nas.run import Run
from nas.space import Space
from nas.study import Terms, best_of
from nas.training import Recipe

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
        options = Options(executor="ray" if executor == "ray" else "local", workers=workers)
        return Experiment(run, options, screen, int(getattr(config, "seed", 0)))

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.run.folder

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What `make` makes (plain values), or what an earlier start of this run made."""
        return self.run.once(name, make)

    def data(self, spec: str) -> Data:
        """A data set, train and validation alone."""
        return load(spec, seed=self.seed)

    def space(self, name: str, data: Data, **settings: Any) -> Space:
        """A space for the images of a data set."""
        return plugins.space(name, input=data.info.input, classes=data.info.classes, **settings)

    def scratch(self, space: Space, data: Data, *, epochs: int, images: int = 0) -> Scratch:
        """The evaluator that trains from scratch."""
        source = Source(data.info.spec, self.seed, data.info.hash, images)
        return Scratch(space, source, Recipe(epochs=epochs))

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
        return best_of(problem, self.run.trials(study), trials)

    def close(self) -> None:
        """Stop the workers and let go of the run."""
        if self._executor is not None:
            self._executor.close()
        self.run.close()
