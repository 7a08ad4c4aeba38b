"""An executor in this process, and evaluators for tests of the loop."""

import hashlib
import os
import signal
from typing import ClassVar

from nas.executors.work import attempt, outcome
from nas.problem import Metrics, Proposal
from nas.roles import Failed, Infeasible, Lost


class Inline:
    """Runs a task when it is waited for; `order` says which of the waiting ones ends first."""

    def __init__(self, capacity=1, order=lambda tasks: 0):
        self.capacity, self._order, self._tasks = capacity, order, []

    def submit(self, task):
        self._tasks.append(task)

    def wait(self, seconds=None):
        task = self._tasks.pop(self._order(self._tasks))
        return [(task.trial, lambda: task.evaluate(task.proposal, task))]

    def reports(self):
        return []

    def cancel(self, trial):
        self._tasks = [t for t in self._tasks if t.trial != trial]

    def close(self):
        self._tasks = []


class Here(Inline):
    """Runs tasks in this process as a worker does, and says which."""

    names: ClassVar = []

    def submit(self, task):
        Here.names.append(task.name)
        super().submit(task)

    def wait(self, seconds=None):
        task = self._tasks.pop(0)
        return [(task.trial, outcome(attempt(task, lambda report: None)))]


def worth(arch) -> float:
    return int(hashlib.blake2b(arch.key.encode(), digest_size=4).hexdigest(), 16) / 2**32


def rated(proposal: Proposal, work) -> Metrics:
    return {"accuracy": worth(proposal.arch)}


class Trouble:
    """Fails some architectures, each in its way; one is lost once."""

    def __init__(self):
        self.lost = set()

    def __call__(self, proposal, work):
        n = int(proposal.arch.key, 16) % 8
        if n == 0:
            raise Failed("memory", "out of memory")
        if n == 1:
            raise Infeasible("latency 9 ms > 5 ms", {"latency_s": 0.009})
        if n == 2 and proposal.arch.key not in self.lost:
            self.lost.add(proposal.arch.key)
            raise Lost("the node went away")
        if n == 3:
            return {"loss": 1.0}
        return rated(proposal, work)


def killed_at(number):
    """An evaluator whose process dies at its call of that number."""
    calls = [0]

    def evaluate(proposal, work):
        calls[0] += 1
        if calls[0] == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return rated(proposal, work)

    return evaluate
