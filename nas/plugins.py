"""Finds spaces, strategies, predictors and experiments by name, or in a user's own file."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import json
import linecache
import sys
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

from nas.errors import ENVIRONMENT, UserError, nearest
from nas.files import existing
from nas.paper import Published
from nas.problem import Problem
from nas.roles import Predictor, Strategy
from nas.space import Architecture, Json, Space
from nas.strategies import PARTICULAR, STRATEGIES, Evolution
from nas.strategies.auto import Auto
from nas.strategies.bananas import Bananas
from nas.strategies.screened import Screened
from nas.tree import Refused

USER = "nas_user_"
"""How the modules of users' files are named; executors send these by value."""


def package(name: str) -> ModuleType:
    """One of the packages that stand beside `nas`.

    Their names are common, so the one beside `nas` is taken whatever else is on the path of imports; UserError where
    it is missing, or another of that name was imported before, and says which folder hides it.
    """
    home = Path(__file__).resolve().parent.parent / name
    found = sys.modules.get(name)
    if found is not None:
        where = Path(found.__file__ or next(iter(found.__path__))).resolve()
        if home not in where.parents:
            fix = "rename that folder, or import nas in another process"
            raise UserError(f"{where.parent} hides the package {name} of nas", fix=fix, code=ENVIRONMENT)
        return found
    spec = importlib.util.spec_from_file_location(name, home / "__init__.py", submodule_search_locations=[str(home)])
    if spec is None or spec.loader is None or not (home / "__init__.py").is_file():
        raise UserError(
            f"there is no package {name} beside nas in {home.parent}", fix="install treenas anew", code=ENVIRONMENT
        )
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    try:
        spec.loader.exec_module(made)
    except BaseException:
        del sys.modules[name]
        raise
    return made


def spaces() -> Mapping[str, Callable[..., Space]]:
    """Every space by its name, as a function of its settings."""
    made: Mapping[str, Callable[..., Space]] = package("search_spaces").SPACES
    return made


def space(spec: str, **settings: Json) -> Space:
    """The space of a name, or of `FILE.py:NAME`, or of one network: a published one, or that of an architecture's file.

    Unknown settings are refused by name.
    """
    if spec.endswith(".json"):
        return _filed(spec, settings)
    make = own(spec) if ".py:" in spec else spaces().get(spec)
    if make is None and spec in catalogue():
        make = catalogue()[spec].alone
    if make is None:
        raise nearest(spec, [*spaces(), *catalogue(), "FILE.py:NAME", "FILE.json"], what="space")
    if isinstance(make, Space):
        return _fits(spec, make, settings)
    return made(make, spec, **settings)


def made(make: Callable[..., Space], spec: str = "", /, **settings: Json) -> Space:
    """The space that a function makes of settings, as JSON holds them; those that it does not take are refused."""
    spec = spec or make.__name__
    try:
        made = make(**{k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()})
    except TypeError as error:
        raise UserError(f"the space {spec} cannot be made: {error}", fix="see `nas spaces` for its settings") from error
    if not isinstance(made, Space):
        raise UserError(
            f"{spec} made {type(made).__name__}, not a nas.Space", fix="return nas.Space(name, root, input)"
        )
    return made


def written(file: str) -> dict[str, Json]:
    """What an architecture's file holds: "space", "settings", "choices", and "file" for a space of a user's own."""
    path = existing(file)
    if path is None or not path.is_file():
        raise UserError(f"there is no file {file}", fix="give the path of an architecture's JSON")
    return held(path.read_text(encoding="utf-8"), file)


def held(text: str, what: str) -> dict[str, Json]:
    """The object of an architecture's JSON; UserError, which says of what, where it is none."""
    wanted = 'it holds {"space", "settings", "choices"}'
    try:
        found = json.loads(text)
    except ValueError as error:
        raise UserError(f"{what} is no JSON: {error}", fix=wanted) from error
    if not isinstance(found, dict) or not {"space", "choices"} <= set(found):
        raise UserError(f"{what} is no architecture", fix=wanted)
    return found


def architecture(held: Mapping[str, Json], what: str, **settings: Json) -> tuple[Space, Architecture]:
    """The space and the architecture that JSON holds, `settings` in place of its own; UserError names the choice."""
    found = space(held.get("file") or held["space"], **{**held.get("settings", {}), **settings})
    return found, spelled(found, json.dumps(dict(held)), what)


def spelled(space: Space, text: str, what: str) -> Architecture:
    """The architecture of a space that a spelling, or JSON, writes; UserError where it is none."""
    try:
        return space.parse(text)
    except (KeyError, ValueError, Refused) as error:
        why = error.args[0] if error.args else error
        raise UserError(f"{what} is no architecture of {space.name}: {why}", fix="see `nas spaces`") from error


def _filed(file: str, settings: Mapping[str, Json]) -> Space:
    """The space of the one network of a file, as `Published.alone` is of a published one."""
    whole, arch = architecture(written(file), file, **settings)
    return Space(f"{whole.name}-{arch.key[:4]}", whole.network(arch), whole.input, {**whole.settings, **settings})


def _fits(spec: str, made: Space, settings: Mapping[str, Json]) -> Space:
    if "input" in settings and tuple(settings["input"]) != tuple(made.input):
        raise UserError(
            f"the space {spec} is made for inputs {made.input}, the data have {tuple(settings['input'])}",
            fix="make it a function of input and classes",
        )
    return made


def strategy(spec: str, problem: Problem, **known: Any) -> Strategy:
    """The strategy of a name, or of `FILE.py:NAME`, for a problem.

    known: what is given to a strategy that has an argument of that name: `most`, the epochs of a whole training;
    `budgets`, the only ones that can be had.
    """
    made: Strategy = _maker(spec)(problem, **{name: value for name, value in known.items() if takes(spec, name)})
    return made


def takes(spec: str, name: str) -> bool:
    """Whether a strategy has an argument of that name, to be told by those who use it."""
    return name in inspect.signature(_maker(spec)).parameters


def lengths(spec: str) -> bool:
    """Whether a strategy trains for several lengths whatever the problem: it has `most`, which cannot be None."""
    most = inspect.signature(_maker(spec)).parameters.get("most")
    return most is not None and most.default is not None


def _maker(spec: str) -> Callable[..., Strategy]:
    known = {**strategies(), **PARTICULAR}
    make: Callable[..., Strategy] | None = own(spec) if ".py:" in spec else known.get(spec)
    if make is None:
        raise nearest(spec, known, what="strategy")
    return make


def strategies() -> Mapping[str, Callable[[Problem], Strategy]]:
    """Every strategy for any problem by its name; those that learn have their predictor."""
    return {
        "auto": _auto,
        "bananas": partial(Bananas, predictor=partial(predictor, "networks")),
        "screened": _screened,
        **STRATEGIES,
    }


def _auto(problem: Problem, most: int | None = None) -> Strategy:
    """`Auto` with a process that reads the ways through networks; it chooses by one that knows ratings to be noisy."""
    return Auto(problem, _once("gp-ways", problem), partial(predictor, "gp-noisy"), most)


def _screened(problem: Problem) -> Strategy:
    return Screened(problem, Evolution(problem), _once("gp-ways", problem))


def _once(name: str, problem: Problem) -> Callable[[], Predictor]:
    """The predictor of a name for a problem's space, made when it is first asked for, and the same each time."""
    return cache(partial(predictor, name, problem.space))


def predictor(name: str, space: Space | None = None) -> Predictor:
    """The predictor of a name; UserError where one that reads the networks of a space is given none."""
    known: Mapping[str, Callable[..., Predictor]] = package("predictors").PREDICTORS
    if name not in known:
        raise nearest(name, known, what="predictor")
    if "space" not in inspect.signature(known[name]).parameters:
        return known[name]()
    if space is None:
        raise UserError(f"the predictor {name} reads the networks of a space, and none was given")
    return known[name](space)


def published(name: str) -> Published:
    """The published network of a name; UserError offers the nearest names."""
    known = catalogue()
    if name not in known:
        raise nearest(name, known, what="published network")
    return known[name]


def catalogue() -> Mapping[str, Published]:
    """Every published network by its name."""
    package("search_spaces")
    made: Mapping[str, Published] = importlib.import_module("search_spaces.catalogue").PUBLISHED
    return made


def experiments() -> list[str]:
    """The names of the published systems that can be run."""
    folder = Path(next(iter(package("experiments").__path__)))
    return sorted(f.stem for f in folder.glob("*.py") if not f.stem.startswith("_"))


def experiment(name: str) -> ModuleType:
    """The module of a published system."""
    if name not in experiments():
        raise nearest(name, experiments(), what="experiment")
    return importlib.import_module(f"experiments.{name}")


def own(spec: str) -> Any:
    """What `FILE.py:NAME` names, from a user's file; the file's folder is never put on the path of imports."""
    file, _, name = spec.rpartition(":")
    path = Path(file).expanduser().resolve()
    if not path.is_file():
        raise UserError(f"there is no file {file}", fix="give FILE.py:NAME, the file's path and a name in it")
    text = path.read_bytes()
    title = USER + hashlib.blake2b(text + str(path).encode(), digest_size=6).hexdigest()
    if title not in sys.modules:
        made = importlib.util.spec_from_file_location(title, path)
        if made is None or made.loader is None:
            raise UserError(f"{file} is no Python file", fix="its name must end in .py")
        module = importlib.util.module_from_spec(made)
        sys.modules[title] = module
        linecache.checkcache(str(path))
        try:
            made.loader.exec_module(module)
        except Exception as error:
            del sys.modules[title]
            line = _line(error, str(path))
            raise UserError(f"{file}{line} raises {type(error).__name__}: {error}", fix="mend the file") from error
    found = vars(sys.modules[title])
    if name not in found:
        mine = [k for k, v in found.items() if not k.startswith("_") and getattr(v, "__module__", title) == title]
        raise nearest(name, mine, what=f"object in {file}")
    return found[name]


def source(spec: str) -> str:
    """A hash of a user's file, which changes a run's results; "" for a name of ours."""
    if not filed(spec):
        return ""
    path = Path(filed(spec)).expanduser()
    return hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest() if path.is_file() else ""


def absolute(spec: str) -> str:
    """`FILE.py:NAME` or `FILE.json` with the whole path, so that it is found from another folder."""
    file = filed(spec)
    return f"{Path(file).expanduser().resolve()}{spec[len(file) :]}" if file else spec


def filed(spec: str) -> str:
    """The file of `FILE.py:NAME` or `FILE.json`; "" for a name of ours."""
    if spec.endswith(".json"):
        return spec
    return spec.rpartition(":")[0] if ".py:" in spec else ""


def _line(error: BaseException, path: str) -> str:
    at, trace = None, error.__traceback__
    while trace is not None:
        at = trace.tb_lineno if trace.tb_frame.f_code.co_filename == path else at
        trace = trace.tb_next
    if isinstance(error, SyntaxError):
        at = error.lineno
    return f" line {at}" if at else ""
