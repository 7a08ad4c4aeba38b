"""The public face: every name is there, once, in order; values are values."""

import pickle

import numpy as np

import nas
from search_spaces import mobile


def test_all_is_complete_and_sorted():
    assert nas.__all__ == sorted(nas.__all__)
    for name in nas.__all__:
        assert getattr(nas, name) is not None


def test_search_stays_a_function_whatever_is_imported():
    import nas.searching

    assert callable(nas.search)
    assert callable(nas.profile)


def test_a_space_and_its_values_travel():
    space = mobile((1, 28, 28), 10)
    arch = space.sample(np.random.default_rng(0))
    _ = space.size, space.network(arch)
    other = pickle.loads(pickle.dumps(space))
    assert other.network(arch) == space.network(arch)
    assert other.size == space.size
    assert len(pickle.dumps(space)) < 60_000


def test_channels_stay_themselves_when_they_travel():
    leaf = nas.Module.of(dict, inputs=nas.CHANNELS)
    assert pickle.loads(pickle.dumps(leaf)).call((7, 3, 3)).kwargs == (("inputs", 7),)


def test_an_error_travels_whole():
    error = pickle.loads(pickle.dumps(nas.UserError("a", fix="b", code=5)))
    assert (error.message, error.fix, error.code) == ("a", "b", 5)
