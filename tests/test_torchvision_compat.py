"""The compatibility module: it helps in exactly one case and keeps out of every other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import harness.model.torchvision_compat as room

HELP = f"import runpy; make = runpy.run_path({room.__file__!r})['make_torchvision_importable']; make(); "


def python(code: str, *, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    prefix = f"import sys; sys.path.insert(0, {str(path)!r}); " if path else ""
    return subprocess.run([sys.executable, "-c", prefix + code], capture_output=True, text=True, check=False)


def fake(tmp_path: Path, body: str) -> Path:
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(body)
    return tmp_path


def test_torchvision_s_models_and_transforms_work_afterwards():
    done = python(
        HELP + "from torchvision.models import resnet18; from torchvision.transforms import v2; import torch; "
        "print(resnet18(weights=None).eval()(torch.zeros(1, 3, 32, 32)).shape)"
    )
    assert done.returncode == 0, done.stderr
    assert "torch.Size([1, 1000])" in done.stdout


def test_calling_it_twice_is_harmless():
    assert python(HELP + "make(); import torchvision").returncode == 0


def test_a_torchvision_that_imports_is_left_alone(tmp_path: Path):
    done = python(
        HELP + "import torchvision; print(torchvision.mark, make.__globals__['_registration'])",
        path=fake(tmp_path, "mark = 'untouched'"),
    )
    assert done.stdout.split() == ["untouched", "None"], done.stderr


def test_another_error_is_not_hidden(tmp_path: Path):
    done = python(HELP, path=fake(tmp_path, "raise RuntimeError('some other trouble')"))
    assert done.returncode != 0
    assert "some other trouble" in done.stderr
