"""Who may import whom: floors, no circles, and what may stand where."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).parent.parent
PACKAGES = ("nas", "search_spaces", "predictors", "experiments")
FLOORS = """
nas.errors nas.tree nas.files nas.objectives
nas.fill nas.plan nas.rewrite
nas.count nas.graph nas.architecture
nas.space
nas.codes
nas.build nas.profile nas.module nas.recorded
nas.paper nas.room
nas.decision nas.problem
nas.roles nas.units nas.derive nas.budgets nas.bench.known
nas.bench.table
nas.weights nas.programs nas.best nas.shortlist
nas.data nas.strategies
nas.training nas.latency
nas.proxies
nas.evaluators
nas.store nas.executors nas.expected
nas.ranking
nas.trust
nas.progress
nas.study nas.alone
nas.run
nas.plugins nas.options
nas.oneshot nas.bench
nas.settings
nas.settle nas.finding
nas.rated
nas.candidates
nas.export nas.drawing nas.subnetworks nas.beginning
nas.latency.script
nas.handover nas.searching nas.estimate nas.experiment nas.designing nas.specialising
nas.design_files
nas
nas.testing
nas.cli
nas.__main__
search_spaces.ops
search_spaces predictors
experiments
"""
"""A file imports lower floors, or its own package (a folder here), and nothing beside it or above it."""
ORDER = [line.split() for line in FLOORS.strip().splitlines()]
ALLOWED = {"nas": {"nas"}, "search_spaces": {"nas", "search_spaces"}, "predictors": {"nas", "predictors"}}
ALLOWED["experiments"] = {*PACKAGES}


def files():
    return sorted(f for name in PACKAGES for f in (HOME / name).rglob("*.py"))


def name_of(file):
    parts = list(file.relative_to(HOME).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(file):
    """Every module of ours that a file imports, wherever in the file, TYPE_CHECKING included."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            whole = [f"{node.module}.{a.name}" for a in node.names]
            names = [w if (HOME / Path(*w.split("."))).with_suffix(".py").exists() else node.module for w in whole]
        found |= {n for n in names if n.split(".")[0] in PACKAGES}
    return found


def floor(module):
    for n, names in enumerate(ORDER):
        if module in names:
            return n, module
    for n, names in enumerate(ORDER):
        for name in names:
            if module.startswith(f"{name}.") and name != "nas":
                return n, name
    raise AssertionError(f"{module} stands on no floor: add it to FLOORS")


def test_imports_go_down_only():
    for file in files():
        mine, room = floor(name_of(file))
        for other in imports(file):
            there, its = floor(other)
            assert there < mine or its == room, f"{name_of(file)} (floor {mine}) imports {other} (floor {there})"


def test_packages_import_only_what_they_may():
    for file in files():
        package = name_of(file).split(".")[0]
        for other in imports(file):
            assert other.split(".")[0] in ALLOWED[package], f"{name_of(file)} imports {other}"


def test_there_are_no_circles():
    edges = {name_of(f): imports(f) - {name_of(f)} for f in files()}
    done, path = set(), []

    def visit(module):
        assert module not in path, f"a circle: {' -> '.join([*path[path.index(module) :], module])}"
        if module in done or module not in edges:
            return
        path.append(module)
        for other in sorted(edges[module]):
            visit(other)
        path.pop()
        done.add(module)

    for module in edges:
        visit(module)


def test_files_are_short():
    for file in files():
        lines = len(file.read_text().splitlines())
        assert lines <= 300, f"{file.relative_to(HOME)} has {lines} lines"


@pytest.mark.parametrize(
    ("library", "where"),
    [
        ("ray", ("nas/executors",)),
        ("torch", ("nas/build.py", "nas/module.py", "nas/weights", "nas/data", "nas/training", "nas/latency",
                   "nas/proxies", "nas/evaluators", "nas/executors", "nas/export", "nas/finding.py",
                   "nas/estimate.py", "nas/testing", "nas/cli/doctor.py", "nas/strategies/policy.py",
                   "nas/strategies/recurrent.py", "search_spaces/ops", "predictors/neural.py",
                   "predictors/network.py", "predictors/pairwise.py")),
        ("optuna", ("nas/strategies/sampled.py",)),
        ("cvxpy", ()),
        ("sklearn", ("predictors", "nas/data")),
        ("tyro", ("nas/cli",)),
        ("rich", ("nas/cli",)),
    ],
)  # fmt: skip
def test_a_library_stands_where_it_may(library, where):
    for file in files():
        path = file.relative_to(HOME).as_posix()
        for node in ast.walk(ast.parse(file.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(n.split(".")[0] == library for n in names):
                assert path.startswith(where), f"{path} imports {library}"


def test_strategies_see_no_module():
    for file in (HOME / "nas" / "strategies").glob("*.py"):
        assert not imports(file) & {"nas.build", "nas.training", "nas.evaluators"}, file.name


def test_the_ground_floors_need_no_torch():
    script = """
import sys
class Barred:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "ray", "pandas", "sklearn"):
            raise ImportError(f"{name} is barred")
sys.meta_path.insert(0, Barred())
import nas, nas.tree, nas.space, nas.problem, nas.store, nas.roles, nas.study, nas.strategies
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=HOME)
