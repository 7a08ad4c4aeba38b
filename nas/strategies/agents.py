"""Many agents that teach one policy: multi-agent reinforcement learning (Balaprakash et al. 2019, arXiv:1909.00311)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Literal, final

from nas.problem import DRAWS, Metrics, Problem, Proposal, State, Trial
from nas.space import Architecture, Rng
from nas.strategies.controller import PLAIN, Controller, Drawn
from nas.strategies.rated import rating
from nas.strategies.sampler import Sampler
from nas.tree import Refused

CONTROLLER = Controller(**PLAIN, units=32, lr=0.005, entropy=0.0)
"""An LSTM of 32 units. The rate is larger than the published 0.001, which is for thousands of rewards, not 200."""


@final
class Server:
    """The parameter server: holds the policy that all agents teach, and steps along the mean of the last gradients."""

    def __init__(self, policy: Any, recent: int) -> None:
        self.policy, self.version = policy, 0
        self._recent: deque[Any] = deque(maxlen=recent)

    def push(self, gradients: Sequence[Any]) -> None:
        """One step of Adam, after some gradients came."""
        self._recent.extend(gradients)
        self.policy.descend(list(self._recent))
        self.version += 1


@final
class Agents:
    """Each agent draws from its own copy of the policy, and teaches the server by PPO after a batch of rewards.

    agents: S; workers: M, how many architectures an agent has under way, and in a batch. In each of the `passes` over
    its batch an agent sends the gradient at its own weights to the server, and gets the new weights.
    exchange: "asynchronous" (A3C): an agent draws anew for each reward and waits for nobody; the server takes a step
    for each gradient, along the mean of the last S. "synchronous" (A2C): agents that have their rewards wait, and are
    asked for nothing, until all have them; the server takes a step along the mean of the S gradients.
    patience: batches of nothing but architectures that were told before, after which an agent waits until another finds
    one that is new; when all wait, nothing more is proposed; 0 for never. A study ends repeats at once, so that agents
    that agree leave its workers idle, and one alone would learn the same rewards by heart while the others' networks
    train.

    The paper's critic says what a reward is to be expected from each pick on; here it is one number, the moving average
    of an agent's own rewards. As in `PPO`, what failed, or broke a limit, or was not drawn here, teaches nothing.
    Raises ValueError for several objectives without a `reward` that joins them.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        agents: int = 4,
        workers: int = 2,
        exchange: Literal["asynchronous", "synchronous"] = "asynchronous",
        controller: Controller = CONTROLLER,
        passes: int = 4,
        clip: float = 0.2,
        patience: int = 4,
        reward: Callable[[Metrics], float] | None = None,
        seed: int = 0,
    ) -> None:
        from nas.strategies.policy import Policy  # noqa: PLC0415  # the catalogue is listed without torch

        if reward is None and len(problem.objectives) != 1:
            raise ValueError(f"one objective is a reward, got {len(problem.objectives)}; give `reward` to join them")
        if exchange not in ("asynchronous", "synchronous"):
            raise ValueError(f"gradients are exchanged asynchronous or synchronous, got {exchange!r}")
        if min(agents, workers, passes) < 1 or patience < 0:
            raise ValueError(f"agents, workers and passes are at least 1, got {agents}, {workers} and {passes}")
        self._problem, self._workers, self._reward = problem, workers, reward
        self._waits, self._passes, self._clip, self._patience = exchange == "synchronous", passes, clip, patience
        shared, *copies = (Policy(problem.space, controller, seed=seed) for _ in range(agents + 1))
        shared.module.double()  # so that a ledger is read again alike where sums are rounded otherwise
        self.server = Server(shared, agents)
        self._agents = [_Agent(k, copy, Sampler(problem.space, controller, copy.rows)) for k, copy in enumerate(copies)]
        self._out: dict[Architecture, deque[tuple[_Agent, Drawn]]] = {}
        self._known: set[Architecture] = set()
        self._delays, self._pushes = 0, 0

    @property
    def under_way(self) -> int:
        """How many architectures were asked for and not told of yet."""
        return sum(agent.flying for agent in self._agents)

    @property
    def delay(self) -> float:
        """How many steps the server took, on average, between the weights of a gradient and its arrival."""
        return self._delays / self._pushes if self._pushes else 0.0

    @property
    def converged(self) -> bool:
        """Whether every agent has drawn nothing new for `patience` batches, and none has found anything since."""
        return all(self._idle(agent) for agent in self._agents)

    def ask(self, rng: Rng) -> Proposal | None:
        """What the agent draws that has drawn least of those that have a free worker; None where all wait."""
        free = [agent for agent in self._agents if self._busy(agent) < self._workers and not self._idle(agent)]
        if not free:
            return None
        agent = min(free, key=lambda one: one.asked)
        agent.asked += 1
        drawn = self._drawn(agent, rng)
        if drawn is None:
            return Proposal(self._problem.sample(rng), note={"by": "random"})
        agent.flying += 1
        self._out.setdefault(drawn.arch, deque()).append((agent, drawn))
        note = {"log_prob": round(drawn.log_prob, 6), "entropy": round(drawn.entropy, 6), "step": agent.version}
        return Proposal(drawn.arch, note={"by": "policy", "agent": agent.number, **note})

    def tell(self, trial: Trial) -> None:
        """The reward of a draw, to the agent that waits for it; it teaches once its batch is whole."""
        new = trial.state is not State.REPEAT and trial.arch not in self._known
        self._known.add(trial.arch)
        waiting = self._out.get(trial.arch)
        if waiting is None:
            return
        agent, drawn = waiting.popleft()
        if not waiting:
            del self._out[trial.arch]
        agent.flying -= 1
        agent.stale += 1
        if new:
            for one in self._agents:
                one.stale = 0
        reward = rating(self._problem, trial, self._reward)
        if reward is None:
            return
        agent.batch.append((drawn, reward))
        if not self._waits and len(agent.batch) >= self._workers:
            self._exchange([agent])
        elif self._waits and all(len(one.batch) >= self._workers for one in self._agents):
            self._exchange(self._agents)

    def _idle(self, agent: _Agent) -> bool:
        return 0 < self._patience * self._workers <= agent.stale

    def _busy(self, agent: _Agent) -> int:
        """How many of an agent's workers cannot be given anything: they run, or wait for the other agents."""
        return agent.flying + (len(agent.batch) if self._waits else 0)

    def _drawn(self, agent: _Agent, rng: Rng) -> Drawn | None:
        for _ in range(DRAWS):
            try:
                drawn = agent.sampler.sample(rng)
            except Refused:
                return None
            if self._problem.space.members is not None:  # what was picked became the nearest of the only members
                drawn = drawn._replace(log_prob=agent.policy.log_prob([drawn.arch]).item())
            if not self._problem.screen(drawn.arch).broken:
                return drawn
        return None

    def _exchange(self, some: Sequence[_Agent]) -> None:
        """The passes of these agents over their batches; each is one push, of one gradient or of all."""
        batches = [agent.taken() for agent in some]
        for _ in range(self._passes):
            gradients = [agent.policy.gradient(batch, self._clip) for agent, batch in zip(some, batches, strict=True)]
            self._delays += sum(self.server.version - agent.version for agent in some)
            self._pushes += len(some)
            self.server.push(gradients)
            for agent in some:
                agent.pull(self.server)
        for agent in some:
            agent.sampler.take(agent.policy.module.state_dict())


@final
class _Agent:
    """An agent: its copy of the policy, what it has under way, and the rewards of its batch so far."""

    def __init__(self, number: int, policy: Any, sampler: Sampler) -> None:
        self.number, self.policy, self.sampler = number, policy, sampler
        policy.module.double()
        sampler.take(policy.module.state_dict())
        self.version, self.asked, self.flying, self.stale = 0, 0, 0, 0
        self.batch: list[tuple[Drawn, float]] = []

    def taken(self) -> Any:
        """The batch as the policy takes it; the next one begins."""
        drawn, rewards = zip(*self.batch, strict=True)
        self.batch = []
        return self.policy.batch([one.arch for one in drawn], rewards, [one.log_prob for one in drawn])

    def pull(self, server: Server) -> None:
        """Take up the server's weights."""
        self.policy.module.load_state_dict(server.policy.module.state_dict())
        self.version = server.version
