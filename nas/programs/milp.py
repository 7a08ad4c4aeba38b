"""A sum of tables under limits as a mixed-integer program, solved by HiGHS (Huangfu and Hall 2018)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias, final

import highspy
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, vstack

from nas.programs.openings import Scope
from nas.programs.tables import Tables

Array: TypeAlias = NDArray[np.float64]
NODES = 300
"""Nodes of the search tree after which a solution that is not proved to be the best is taken, with its bound."""


@final
class Program:
    """Maximise a sum of tables subject to sums of tables being at most their limits.

    Each choice is a vector of zeros with a single one; a table over one choice is linear in it. A table over several
    has a variable for each cell; the cells of each option sum to the option's variable, so that they are 0 or 1 too.
    """

    def __init__(self, objective: Tables, limits: Sequence[tuple[Tables, float]]) -> None:
        sizes = {name: len(choice.options) for name, choice in objective.space.choices.items()}
        self._first = dict(zip(sizes, np.cumsum([0, *sizes.values()])[:-1].tolist(), strict=True))
        self._sizes, self._width = sizes, sum(sizes.values())
        self._joint: dict[Scope, int] = {}
        for tables in (objective, *(t for t, _ in limits)):
            for scope, table in tables.parts.items():
                if len(scope) > 1 and scope not in self._joint:
                    self._joint[scope] = self._width
                    self._width += table.size
        self._integral = np.zeros(self._width)
        self._integral[: sum(sizes.values())] = 1
        self._objective, self._constant = self._row(objective)
        ties, sums = self._ties()
        rows, roofs = [ties], [sums]
        for tables, limit in limits:
            row, constant = self._row(tables)
            scale = max(float(np.abs(row).max()), 1e-300)
            rows.append(csr_array(row[None] / scale))
            roofs.append(np.array([(limit - constant) / scale]))
        self._rows = vstack(rows, format="csr")
        self._roofs = np.concatenate(roofs)
        self._floors = np.concatenate([sums, np.full(len(limits), -np.inf)])

    def solve(self, without: Iterable[Mapping[str, int]] = ()) -> tuple[dict[str, int], float] | None:
        """The best picks, and what no picks can be above: their own value where they are proved the best.

        None where nothing is feasible; ArithmeticError where the solver fails. The search stops at NODES nodes, and
        never by the clock, so that it ends alike every time.

        without: picks, of which no solution makes all; a no-good cut each.
        """
        cuts = [self._cut(picks) for picks in without]
        rows = vstack([self._rows, *(row for row, _ in cuts)], format="csc")
        roofs = np.concatenate([self._roofs, [roof for _, roof in cuts]])
        floors = np.concatenate([self._floors, np.full(len(cuts), -np.inf)])
        scale = max(float(np.abs(self._objective).max()), 1e-300)
        solver = _silent()
        solver.passModel(_model(-self._objective / scale, self._integral, rows, floors, roofs))
        solver.run()
        status, info = solver.getModelStatus(), solver.getInfo()
        if status == highspy.HighsModelStatus.kInfeasible:
            return None
        found = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
        if not found or status not in (highspy.HighsModelStatus.kOptimal, highspy.HighsModelStatus.kSolutionLimit):
            raise ArithmeticError(f"HiGHS ended with {status.name} after {info.mip_node_count} nodes")
        x = np.array(solver.getSolution().col_value)
        picks = {n: int(np.argmax(x[self._first[n] : self._first[n] + k])) for n, k in self._sizes.items()}
        return picks, self._constant - scale * info.mip_dual_bound

    def _row(self, tables: Tables) -> tuple[Array, float]:
        row, constant = np.zeros(self._width), 0.0
        for scope, table in tables.parts.items():
            if scope:
                first = self._joint[scope] if len(scope) > 1 else self._first[scope[0]]
                row[first : first + table.size] += table.ravel()
            else:
                constant = float(table)
        return row, constant

    def _ties(self) -> tuple[csr_array, Array]:
        """One option of each choice; the cells of a table that have an option sum to that option."""
        at: list[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]] = []
        sums = [1.0] * len(self._sizes)
        for row, (name, count) in enumerate(self._sizes.items()):
            at.append((np.full(count, row), self._first[name] + np.arange(count), np.ones(count)))
        for scope, first in self._joint.items():
            index = np.indices([self._sizes[n] for n in scope]).reshape(len(scope), -1)
            for name, where in zip(scope, index, strict=True):
                options = np.arange(self._sizes[name])
                at.append((len(sums) + where, first + np.arange(len(where)), np.ones(len(where))))
                at.append((len(sums) + options, self._first[name] + options, -np.ones(len(options))))
                sums += [0.0] * len(options)
        rows, columns, values = (np.concatenate(x) for x in zip(*at, strict=True))
        return coo_array((values, (rows, columns)), shape=(len(sums), self._width)).tocsr(), np.array(sums)

    def _cut(self, picks: Mapping[str, int]) -> tuple[csr_array, float]:
        row = np.zeros((1, self._width))
        row[0, [self._first[name] + k for name, k in picks.items()]] = 1
        return csr_array(row), len(picks) - 1.0


def _silent() -> Any:
    solver = highspy.Highs()  # type: ignore[no-untyped-call]  # highspy has no types for it
    settings = {"output_flag": False, "threads": 1, "mip_rel_gap": 0.0, "mip_abs_gap": 0.0, "mip_max_nodes": NODES}
    for name, value in settings.items():
        solver.setOptionValue(name, value)
    return solver


def _model(cost: Array, integral: Array, rows: Any, floors: Array, roofs: Array) -> Any:
    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = len(cost), len(roofs)
    model.col_cost_, model.col_lower_, model.col_upper_ = cost, np.zeros(len(cost)), np.ones(len(cost))
    model.row_lower_, model.row_upper_ = floors, roofs
    model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    model.a_matrix_.start_, model.a_matrix_.index_, model.a_matrix_.value_ = rows.indptr, rows.indices, rows.data
    kinds = highspy.HighsVarType
    model.integrality_ = [kinds.kInteger if whole else kinds.kContinuous for whole in integral]
    return model
