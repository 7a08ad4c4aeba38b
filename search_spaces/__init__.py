"""What may be built: nodes, and the spaces of the literature as trees with holes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nas.space import Space
from search_spaces.mobile import mobile
from search_spaces.nasbench201 import nasbench201

SPACES: Mapping[str, Callable[..., Space]] = {"mobile": mobile, "nasbench201": nasbench201}
"""Every space by its name, as a function of its settings; each takes `input` and `classes`."""
