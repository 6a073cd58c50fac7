"""What is in the package is what is in the folders."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_every_package_is_listed() -> None:
    conf = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = conf["tool"]["setuptools"]["packages"]
    inits = (ROOT / "genprm").rglob("__init__.py")  # does not follow the links
    inner = {".".join(p.parent.relative_to(ROOT).parts) for p in inits}
    outer = {
        ".".join(("genprm", *p.parent.relative_to(ROOT).parts))
        for folder in ("sandbox", "synth", "eval")
        for p in (ROOT / folder).rglob("__init__.py")
    }
    assert set(listed) == inner | outer


def test_importing_and_helping_stay_light() -> None:
    """No heavy package is loaded before it is needed."""
    heavy = {"torch", "sympy", "numpy", "rich", "httpx", "datasets", "msgspec", "vllm", "transformers"}
    code = f"import sys, genprm, genprm.cli; genprm.cli._parser(); print({heavy!r} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "set()"


@pytest.mark.slow
def test_a_wheel_works_beside_a_users_own_eval_py(tmp_path: Path) -> None:
    """The one check that covers the mapping: build, install into an empty environment, run from a user's folder."""
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path / "dist"), str(ROOT)]
    subprocess.run(build, check=True, cwd=tmp_path)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if not name.startswith("genprm-")} == {"genprm"}
    shipped = {"genprm/sandbox/__init__.py", "genprm/eval/metrics.py", "genprm/py.typed"}
    assert shipped | {"genprm/serving/page/common.js", "genprm/viewing/page/view.html"} <= set(names)

    subprocess.run([sys.executable, "-m", "venv", "--system-site-packages", str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "-q", "--no-deps", "--force-reinstall", str(wheel)]
    subprocess.run(install, check=True, cwd=tmp_path)
    user = tmp_path / "user"
    user.mkdir()
    (user / "eval.py").write_text("mine = True\n")
    (user / "sandbox.py").write_text("mine = True\n")
    code = "import eval, sandbox, genprm.eval.metrics as m; assert eval.mine and sandbox.mine; print(m.__file__)"
    used = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True, cwd=user).stdout
    assert str(tmp_path / "venv") in used
