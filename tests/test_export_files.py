from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from nas.errors import UserError
from nas.export import export, prove
from nas.tree import (
    Chain,
    Node,
    Shape,
)
from search_spaces.ops import Classifier, ConvNormAct
from tests.exports import load_file, tidy, trained, written

ABOUT = {
    "metrics": {"accuracy": 0.5},
    "repro": {"seed": 1},
    "input": {"mean": [0.25], "std": [0.5], "classes": ["cat", "it's"]},
}


def small() -> tuple[Node, Shape]:
    return Chain.of(stem=ConvNormAct(4), head=Classifier(2)), (1, 6, 6)


def test_an_export_holds_every_file_and_its_proof(tmp_path: Path) -> None:
    network, shape = small()
    module = trained(network, shape)
    module.train()
    made = export(network, shape, module, tmp_path / "a" / "b", name="my-space", about=ABOUT, architecture={"k": 1})
    assert module.training
    names = ("architecture.json", "metrics.json", "model.pt2", "model.py", "repro.json", "weights.safetensors")
    assert made.files == names
    assert made.proved
    assert set(made.largest_difference) == {"model.py", "model.pt2"}
    assert max(made.largest_difference.values()) <= 1e-5
    folder = tmp_path / "a" / "b"
    assert json.loads((folder / "architecture.json").read_text()) == {"k": 1}
    assert json.loads((folder / "metrics.json").read_text()) == ABOUT["metrics"]
    repro = json.loads((folder / "repro.json").read_text())
    assert repro["seed"] == 1
    assert repro["export"]["largest_difference"] == made.largest_difference
    model = load_file(folder / "model.py")
    assert model.CLASSES == ["cat", "it's"]
    images = torch.randint(0, 256, (2, 1, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(model.normalise(images), (images / 255 - 0.25) / 0.5)
    assert torch.equal(model.load()(model.normalise(images)), module.eval()(model.normalise(images)))
    assert model.MySpace.__doc__.startswith("A network from the space my-space: (B, 1, 6, 6) to (B, 2).")
    assert [p.name for p in folder.parent.iterdir()] == ["b"]
    tidy(folder)


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    network, shape = small()
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="is no export"):
        export(network, shape, trained(network, shape), tmp_path, name="net", about={})
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_a_failed_export_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, shape = small()
    old = tmp_path / "out"
    old.mkdir()
    (old / "architecture.json").write_text("{}")
    monkeypatch.setattr("nas.export.save.prove", lambda folders: [{"model.py": 0.5, "model.pt2": 0.0}])
    with pytest.raises(UserError, match=r"model\.py differs from the trained network by 0.5"):
        export(network, shape, trained(network, shape), old, name="net", about={})
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert [p.name for p in old.iterdir()] == ["architecture.json"]
    with pytest.raises(UserError, match="weights do not fit"):
        export(network, shape, {"stem.conv.weight": torch.zeros(1)}, tmp_path / "new", name="net", about={})
    assert not (tmp_path / "new").exists()


def test_the_proof_sees_a_wrong_weight_and_forbidden_imports(tmp_path: Path) -> None:
    network, shape = small()
    wrong, needy = written(network, shape, tmp_path / "wrong"), written(network, shape, tmp_path / "needy")
    file = wrong / "model.py"
    file.write_text(
        file.read_text().replace("return model.eval()", "model.head[2].bias.data[0] += 1\n    return model.eval()")
    )
    [found] = prove([wrong])
    assert found["model.py"] == pytest.approx(1, abs=1e-4)
    for name in ("nas", "search_spaces.ops", "safetensors"):
        (needy / "model.py").write_text(file.read_text().replace("import json", f"import {name}\nimport json"))
        with pytest.raises(UserError, match=f"{name.partition('.')[0]}.* must not be needed"):
            prove([needy])


def test_onnx_without_its_packages_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, shape = small()
    monkeypatch.setattr("nas.export.onnx.NEEDED", ("onnx", "no_such_package"))
    with pytest.raises(UserError, match=r"no_such_package; run: pip install 'treenas\[onnx\]'") as error:
        export(network, shape, trained(network, shape), tmp_path / "out", name="net", about={}, onnx=True)
    assert error.value.code == 5
    assert not (tmp_path / "out").exists()
