"""Ridge regression (Hoerl and Kennard 1970) on the one-hot code of the choices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

from nas.codes import Codes, Rows
from nas.programs.additive import Additive, Column
from nas.programs.openings import Openings
from nas.programs.tables import Tables
from nas.roles import Array, Prediction
from nas.space import Architecture
from predictors.encode import OneHot


@final
class Ridge:
    """A sum of one term a choice; the penalty is chosen by leave-one-out errors, the std is that of the posterior.

    Raises ValueError for fewer than 3 samples, or values that are not finite.
    """

    def fit(self, archs: Sequence[Architecture], y: Array, features: Array | None = None) -> Ridge:
        """Learn from rated architectures."""
        made = Ridge()
        made._model = Additive.fit(archs, y, OneHot.of(archs).columns, features)
        return made

    def predict(self, archs: Sequence[Architecture], features: Array | None = None) -> Prediction:
        """The sum of the terms, and the posterior standard deviation, noise included."""
        return Prediction(*self._model.predict(archs, features))

    def coded(self, codes: Codes, rows: Rows, features: Array | None = None, *, std: bool = True) -> Prediction:
        """The same of the architectures of rows."""
        return Prediction(*self._model.coded(codes, rows, features, std=std))

    @property
    def offset(self) -> float:
        """What is predicted where no term counts; features, where there were any, at zero."""
        return self._model.offset

    @property
    def terms(self) -> Mapping[Column, float]:
        """What each (choice, label) adds where it is made."""
        return self._model.terms

    def tables(self, openings: Openings) -> Tables:
        """The prediction as a sum of tables for the programs; features, where there were any, at zero."""
        return self._model.tables(openings)

    _model: Additive
