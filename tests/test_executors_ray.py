"""Executors on Ray: the laws, what the dashboard shows, and what happens when machines and drivers die."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.errors import ENVIRONMENT, UserError
from nas.executors import ray_cluster
from nas.executors.ray import RayExecutor
from nas.roles import Needs
from nas.testing.executors import Reports, check_executor, task
from tests.dying import MAIN, RAY, ROOT, appears, check_killed_driver


@pytest.fixture(scope="module")
def cluster() -> Iterator[ray_cluster.Cluster]:
    """A Ray of these tests."""
    ray = pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_metrics_report_interval_ms", "500")
        yield ray_cluster.connect(None, cpus=2)
        ray.shutdown()


@pytest.mark.ray
def test_ray_keeps_the_laws(cluster: ray_cluster.Cluster, tmp_path: Path) -> None:
    check_executor(lambda: RayExecutor(2, study="laws"), tmp_path)


@pytest.mark.ray
def test_ray_shows_a_trial_by_its_name_and_a_study_by_its_numbers(cluster: ray_cluster.Cluster, tmp_path: Path) -> None:
    from ray.util.state import list_tasks  # slow to import

    from nas.executors.gauges import Gauges  # beside it

    gauges = Gauges("search-7")
    gauges.update({"done": 4, "failed": 1}, 0.5, 0.25)
    gauges.update({"done": 5}, 0.75, 0.25, force=True)
    gauges.update({"done": 6}, 0.8, 0.25)  # within a second of the last: not passed on
    with RayExecutor(1, study="search-7") as executor:
        assert executor.dashboard().startswith("Ray dashboard: http://")
        assert "ray get-auth-token" in executor.dashboard()
        executor.submit(task(12, Reports(1, then=1000.0), tmp_path))
        named = [("name", "=", "laws / trial 12")]
        assert appears(lambda: list_tasks(cluster.dashboard, named))  # another Ray may run beside this one
        assert appears(lambda: _titles("ray::laws / trial 12 epoch 1"))
        node = ray_cluster.nodes()[0]
        url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
        wanted = {("nas_trials", "done"): 5.0, ("nas_trials", "failed"): 0.0, ("nas_best_accuracy", ""): 0.75}
        assert appears(lambda: _gauges(url, "search-7").items() >= wanted.items()), _gauges(url, "search-7")


def _titles(start: str) -> list[str]:
    shown = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in shown.splitlines() if line.startswith(start)]


def _gauges(url: str, study: str) -> dict[tuple[str, str], float]:
    """The gauges of a study at a metrics port, by name and state."""
    with urllib.request.urlopen(url, timeout=5) as page:
        lines = page.read().decode().splitlines()
    found: dict[tuple[str, str], float] = {}
    for line in lines:
        if line.startswith("ray_nas_") and f'"{study}"' in line:
            state = line.partition('state="')[2].partition('"')[0]
            found[line.partition("{")[0].removeprefix("ray_"), state] = float(line.rpartition(" ")[2])
    return found


@pytest.mark.ray
def test_ray_without_a_gpu_says_so(cluster: ray_cluster.Cluster) -> None:
    with pytest.raises(UserError, match="no GPU") as caught:
        RayExecutor(needs=Needs(1.0, 0.5))
    assert caught.value.code == ENVIRONMENT
    with pytest.raises(UserError, match="5000 CPU a trial"):
        RayExecutor(needs=Needs(5000.0))


def test_shares_of_a_card_are_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    machines = [
        {"Alive": True, "Resources": {"CPU": 8.0, "GPU": 2.0}},
        {"Alive": True, "Resources": {"CPU": 3.0, "GPU": 1.0}},
        {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}},
    ]
    monkeypatch.setattr(ray_cluster, "nodes", lambda: machines)
    shares = {0.25: 8 + 3, 0.4: 4 + 2, 1.0: 2 + 1, 2.0: 1}
    assert {gpus: ray_cluster.fit(Needs(1.0, gpus)) for gpus in shares} == shares
    assert ray_cluster.fit(Needs(2.0)) == 4 + 1


SCRIPT = """
import sys
sys.path.insert(0, {root!r})
from nas.executors.ray import RayExecutor
from nas.errors import UserError
try:
    RayExecutor(address={address!r})
except UserError as error:
    print(error.code, error)
"""


@pytest.mark.ray
@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_where_nobody_answers_is_told_at_once(scheme: str, tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        script = SCRIPT.format(root=str(ROOT), address=f"{scheme}127.0.0.1:{closed.getsockname()[1]}")
        start = time.monotonic()
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert time.monotonic() - start < 10
    assert done.stdout.startswith("5 no Ray answers at")
    assert len(done.stdout.splitlines()) == 1
    assert not done.stderr


@pytest.mark.ray
def test_ray_dies_with_a_driver_that_is_killed(tmp_path: Path) -> None:
    check_killed_driver(RAY, MAIN, tmp_path, within=5)


LOSS = textwrap.dedent("""
    import sys
    sys.path.insert(0, {root!r})
    from pathlib import Path
    from ray.cluster_utils import Cluster
    from nas.executors.ray import RayExecutor
    from nas.roles import Lost
    from nas.testing.executors import Echo, Reports, task
    folder = Path({folder!r})
    cluster = Cluster(initialize_head=True, head_node_args={{"num_cpus": 0}})
    machine = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    with RayExecutor(address=cluster.address) as executor:
        print(executor.capacity)
        executor.submit(task(0, Reports(1, then=1000.0), folder))
        while not executor.reports():
            executor.wait()
        cluster.remove_node(machine, allow_graceful=False)
        cluster.add_node(num_cpus=1)
        while not (ended := executor.wait()):
            pass
        try:
            ended[0][1]()
        except Lost as lost:
            print("lost", ended[0][0])
        executor.submit(task(0, Echo(), folder))
        print(executor.wait()[0][1]()["trial"])
    cluster.shutdown()
""")


@pytest.mark.ray
def test_a_trial_whose_machine_goes_away_is_lost_and_not_failed(tmp_path: Path) -> None:
    script = LOSS.format(root=str(ROOT), folder=str(tmp_path))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_health_check_period_ms": "500"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, env=environment, timeout=120
    )
    assert done.stdout.split() == ["1", "lost", "0", "0.0"], done.stderr


FEWER = textwrap.dedent("""
    import sys, time
    sys.path.insert(0, {root!r})
    from pathlib import Path
    from ray.cluster_utils import Cluster
    from nas.executors.ray import RayExecutor
    from nas.roles import Lost
    from nas.testing.executors import Echo, Reports, task
    folder = Path({folder!r})
    cluster = Cluster(initialize_head=True, head_node_args={{"num_cpus": 1}})
    machine = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    with RayExecutor(address=cluster.address) as executor:
        print(executor.capacity)
        for trial in (0, 1):
            executor.submit(task(trial, Reports(1, then=5.0), folder))
        told = 0
        while told < 2:
            executor.wait(1)
            told += len(executor.reports())
        cluster.remove_node(machine, allow_graceful=False)
        ways, end = [], time.monotonic() + 60
        while len(ways) < 2 and time.monotonic() < end:
            for _, outcome in executor.wait(1):
                try:
                    outcome()
                    ways.append("done")
                except Lost:
                    ways.append("lost")
        print(*sorted(ways))
        for trial in (2, 3):
            executor.submit(task(trial, Echo(), folder))
        left = []
        while len(left) < 2 and time.monotonic() < end:
            left += [trial for trial, _ in executor.wait(1)]
        print(*sorted(left))
    cluster.shutdown()
""")


@pytest.mark.ray
def test_trials_go_on_where_fewer_machines_are_left(tmp_path: Path) -> None:
    script = FEWER.format(root=str(ROOT), folder=str(tmp_path))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_health_check_period_ms": "500"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, env=environment, timeout=150
    )
    assert done.stdout.split() == ["2", "done", "lost", "2", "3"], done.stderr
