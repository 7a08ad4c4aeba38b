"""A Ray to run on: one that is started here, or one that answers at an address."""

from __future__ import annotations

import importlib.util
import logging
import math
import os
import socket
import subprocess
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from nas.errors import ENVIRONMENT, UserError
from nas.executors.work import cores
from nas.roles import Needs

TOKENS = "RAY_AUTH_MODE"
CURRENT = Path("/tmp/ray/ray_current_cluster")  # where Ray itself writes it
"""The file in which Ray keeps the address of the cluster of this machine."""


@final
@dataclass(frozen=True)
class Cluster:
    """A Ray that this process is connected to. dashboard: its address, "" for none; ours: whether to stop it."""

    dashboard: str
    ours: bool
    local: bool


def connect(address: str | None, *, cpus: int = 0) -> Cluster:
    """A Ray of this process's own where address is None, else the one at "auto", HOST:PORT or ray://HOST:PORT.

    cpus: how many a Ray of its own counts with at least, whatever the machine has.
    UserError (code 5) within 10 s where nobody answers.
    """
    if importlib.util.find_spec("ray") is None:
        raise UserError("Ray is not installed", fix="pip install 'treenas[ray]'", code=ENVIRONMENT)
    if address is not None and address.strip() and not _initialised():
        _reach(address)  # before Ray is imported, since it reads its settings then
    import ray  # noqa: PLC0415  # slow to import, and optional

    if ray.is_initialized():
        return Cluster(_found(), ours=False, local=False)
    if address is None:
        return Cluster(_start(max(cores(), cpus)), ours=True, local=True)
    if not address.strip():
        raise UserError("an address of Ray is auto, HOST:PORT or ray://HOST:PORT; got nothing", fix="--ray auto")
    try:
        return Cluster(_url(_init(address=address)), ours=True, local=False)
    except Exception as error:
        raise _nobody(address, f"{type(error).__name__}: {error}") from error


def _initialised() -> bool:
    """Whether this process is connected to a Ray; asked without importing it."""
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


def fit(needs: Needs) -> int:
    """How many trials with some needs the machines of the cluster hold at a time; UserError (code 5) where none."""
    machines, shares = _machines(), _shares(needs)
    found = room(needs)
    if found:
        return found
    if needs.gpus > 0 and not any(m.get("GPU", 0.0) for m in machines):
        fix = "use --gpus-per-trial 0, or a cluster with GPUs"
        raise UserError("no GPU in this Ray cluster", fix=fix, code=ENVIRONMENT)
    most = {kind: max((m.get(kind, 0.0) for m in machines), default=0.0) for kind in shares}
    told = ", ".join(f"{shares[kind]:g} {kind} a trial, {most[kind]:g} on the largest machine" for kind in shares)
    raise UserError(f"no machine of this Ray cluster holds a trial: {told}", fix="ask for less", code=ENVIRONMENT)


def room(needs: Needs) -> int:
    """How many trials with some needs the machines that are alive hold at a time; 0 where none."""
    shares = _shares(needs)
    return sum(min(_share(m.get(kind, 0.0), share) for kind, share in shares.items()) for m in _machines())


def _machines() -> list[dict[str, float]]:
    return [node["Resources"] for node in nodes() if node["Alive"]]


def _shares(needs: Needs) -> dict[str, float]:
    asked = {"CPU": needs.cpus, "GPU": needs.gpus}
    return {kind: share for kind, share in asked.items() if share > 0} or {"CPU": 1.0}


def nodes() -> list[dict[str, Any]]:
    """The machines of the cluster, as Ray tells of them."""
    import ray  # noqa: PLC0415  # slow to import, and optional

    untyped: Any = ray
    return list(untyped.nodes())


def _share(there: float, share: float) -> int:
    # A share of a card cannot span two cards: three trials of 0.4 do not fit on one and a half.
    return int(there + 1e-9) * int(1 / share + 1e-9) if share < 1 else int(there / share + 1e-9)


def _start(cpus: int) -> str:
    """Starts a Ray on this machine that ends with this process; its dashboard's address."""
    kept = {name: os.environ.get(name) for name in ("PYTHONPATH", "RAY_USAGE_STATS_ENABLED")}
    root = Path(__file__).resolve().parents[2]
    if not root.name.endswith("-packages"):  # not installed: its workers are to find this very package
        os.environ["PYTHONPATH"] = os.pathsep.join([str(root), *filter(None, [kept["PYTHONPATH"]])])
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is to be sent anywhere
    try:
        try:
            return _url(_init(address="local", num_cpus=cpus, include_dashboard=True))
        except Exception:  # whatever keeps the dashboard from starting
            _stop()
            return _url(_init(address="local", num_cpus=cpus, include_dashboard=False))
    except Exception as error:
        _stop()
        told = f"Ray does not start: {type(error).__name__}: {error}"
        raise UserError(told[:500], fix="run without --ray, or: ray stop", code=ENVIRONMENT) from error
    finally:
        for name, value in kept.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _init(**options: Any) -> Any:
    import ray  # noqa: PLC0415  # slow to import, and optional

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own coming changes
        context = ray.init(logging_level=logging.ERROR, log_to_driver=False, **options)
    told = sys.modules.get("ray._private.worker")
    if hasattr(told, "print_to_stdstream"):  # it prints of dead workers to standard output, with no public switch
        setattr(told, "print_to_stdstream", lambda *_, **__: None)  # noqa: B010  # mypy knows no such name
    return context


def _stop() -> None:
    import ray  # noqa: PLC0415  # slow to import, and optional

    ray.shutdown()


def _url(context: Any) -> str:
    url = getattr(context, "dashboard_url", None) or ""
    return f"http://{url}" if url and "://" not in url else str(url)


def _found() -> str:
    """The dashboard of a Ray that others connected to; there is no public way to ask, so "" where this one is gone."""
    ask = getattr(sys.modules.get("ray._private.worker"), "get_dashboard_url", None)
    url = ask() if ask is not None else ""
    return f"http://{url}" if url else ""


def _reach(address: str) -> None:
    """UserError where nothing listens at an address, or something that is no Ray."""
    if address == "auto":
        found = os.environ.get("RAY_ADDRESS", "") or (CURRENT.read_text().strip() if CURRENT.exists() else "")
        if not found or found in ("auto", "local"):
            raise _nobody(address, "no Ray runs on this machine")
        address = found
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise UserError(f"an address of Ray is auto, HOST:PORT or ray://HOST:PORT; got {address!r}", fix="--ray auto")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=3).close()
    except (OSError, OverflowError) as error:
        raise _nobody(address, str(error)) from error
    if address.startswith("ray://"):
        _greet(address)
    else:
        _ask(address)


def _ask(address: str) -> None:
    """UserError where what listens is no Ray: asked in a process that can be ended, since Ray waits for minutes.

    A cluster that asks for a token gets the one of this machine; Ray itself shows it only where RAY_AUTH_MODE says so.
    """
    said = _health(address, {})
    if said and "AuthenticationError" in said and not os.environ.get(TOKENS):
        said = _health(address, {TOKENS: "token"})
        if not said:
            os.environ[TOKENS] = "token"
            told = getattr(sys.modules.get("ray._raylet"), "Config", None)
            if told is not None:  # Ray was imported before, and has read its settings
                told.initialize("")
    if said and "AuthenticationError" in said:
        fix = "bring its token to ~/.ray/auth_token (there: ray get-auth-token), or set RAY_AUTH_TOKEN"
        raise UserError(f"the Ray at {address} asks for a token that is not here", fix=fix, code=ENVIRONMENT)
    if said:
        raise _nobody(address, said)


def _health(address: str, more: Mapping[str, str]) -> str:
    """What is wrong with the Ray at an address, or "" where it answers."""
    code = "import sys; from ray.scripts.scripts import main; sys.argv[0] = 'ray'; main()"
    command = [sys.executable, "-c", code, "health-check", "--address", address]
    environment = {**os.environ, **more}
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=6, check=False, stdin=subprocess.DEVNULL, env=environment
        )
    except subprocess.TimeoutExpired:
        return "what listens there does not answer as Ray does"
    last = done.stderr.decode(errors="replace").strip().splitlines()
    return (last[-1] if last else "what listens there is no Ray") if done.returncode else ""


def _greet(address: str) -> None:
    """UserError where what listens at ray://HOST:PORT does not speak gRPC: Ray itself waits for half a minute."""
    try:
        import grpc  # type: ignore[import-untyped]  # noqa: PLC0415  # comes with Ray's client
    except ImportError as error:
        raise _nobody(address, "Ray's client is not installed: pip install 'ray[client]'") from error
    with grpc.insecure_channel(address.removeprefix("ray://")) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=6)
        except grpc.FutureTimeoutError as error:
            raise _nobody(address, "what listens there does not answer as Ray does") from error


def _nobody(address: str, why: str) -> UserError:
    fix = "check the address, or start one with: ray start --head"
    return UserError(f"no Ray answers at {address}: {why}"[:500], fix=fix, code=ENVIRONMENT)


def counted(capacity: int | None, needs: Needs) -> int:
    """The CPUs that a Ray of its own must count with for a capacity that a user asked for."""
    return math.ceil((capacity or 1) * needs.cpus)
