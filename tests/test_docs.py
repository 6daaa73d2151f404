"""What the documentation shows works, and what it names exists."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.scripts.test_shell import run
from tfagents_system import train_params_base
from tfagents_system.settings import configuration, curriculum

DOCUMENTS = [
    REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
] + sorted((REPOSITORY / "docs").glob("*.md"))


def code_blocks(document: Path, language: str) -> list[str]:
    """Returns the code blocks of a language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", document.read_text(), re.S)


def test_example_of_an_own_environment_works(tmp_path: Path) -> None:
    from tfagents_system.environments import standard

    readme = REPOSITORY / "README.md"
    (tmp_path / "cart_params.py").write_text(code_blocks(readme, "python")[0])
    (tmp_path / "cart.json").write_text(code_blocks(readme, "json")[0])
    (variables,) = (b for b in code_blocks(readme, "bash") if "SAC_EXP_NAME=cart" in b)
    for name in ("cart_params.py", "cart.json"):
        variables = variables.replace(f"={name}", f"='{tmp_path / name}'")
    (tmp_path / "cart.sh").write_text(variables)
    result = run("./launch_training.sh", tmp_path / "cart.sh", "--dry-run")
    assert result.returncode == 0, result.stderr

    params = configuration.load_params(
        tmp_path / "cart_params.py", configuration.load_config(tmp_path / "cart.json")
    )
    assert params.n_buffer_init_episodes == 5
    env = standard.make_collect_env(params, worker=0, seed=0)
    standard.check_spaces(env)
    assert env.reset().observation.shape == (3,)


@pytest.mark.parametrize("page", ["documentation.md", "curriculum.md"])
def test_curriculum_of_the_documentation_is_valid(page: str) -> None:
    block = code_blocks(REPOSITORY / "docs" / page, "json")[0]
    schedules = curriculum.make_schedules(json.loads("{" + block + "}"))
    assert sorted(schedules) == ["friction", "mass"]


@pytest.mark.parametrize(
    ("script", "page"),
    [
        ("make_config_reference.py", "configuration.md"),
        ("plot_curriculum.py", "curriculum.svg"),
    ],
)
def test_what_a_script_makes_of_the_code_is_up_to_date(
    script: str, page: str, tmp_path: Path
) -> None:
    made = tmp_path / page
    result = run(sys.executable, f"scripts/{script}", made)
    assert result.returncode == 0, result.stderr
    advice = f"run .venv/bin/python scripts/{script}"
    assert (REPOSITORY / "docs" / page).read_text() == made.read_text(), advice


def test_the_reference_has_every_attribute_with_its_default() -> None:
    reference = (REPOSITORY / "docs" / "configuration.md").read_text()
    for name in configuration.ATTRIBUTE_TYPES:
        default = getattr(train_params_base.TrainParamsBase, name)
        assert re.search(
            rf"^\| `{name}` \| `[^|]+` \| `{re.escape(repr(default))}` \| \w",
            reference,
            re.M,
        ), name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    text = document.read_text()
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text)
    links += re.findall(r'src="([^"]+)"', text)
    for link in links:
        if not link.startswith("http"):
            assert (document.parent / link).exists(), link


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_scripts_and_modules_that_are_named_exist(document: Path) -> None:
    text = document.read_text()
    readers_own = ("cart_params.py", "my_sac.py", "params.py")
    for script in re.findall(r"(?<![\w/.])(scripts/\w+\.sh|\w+_\w+\.sh)\b", text):
        assert (REPOSITORY / script).exists(), script
    for module in re.findall(r"`((?:\w+/)*\w+\.py)`", text):
        if module not in readers_own:
            places = [REPOSITORY, REPOSITORY / "tfagents_system"]
            assert any((place / module).exists() for place in places), module


def test_every_attribute_is_described_beside_it() -> None:
    source = Path(train_params_base.__file__).read_text()
    for name in configuration.ATTRIBUTE_TYPES:
        described = re.search(rf"(?:    #: .*\n)+    {name}: ", source)
        assert described, f"{name} has no description"


def test_flags_of_run_that_are_documented_exist() -> None:
    documented = set()
    for document in DOCUMENTS:
        for block in code_blocks(document, "bash"):
            for command in re.findall(r"run\.py(.*?)(?:\n\n|\Z)", block, re.S):
                documented |= set(re.findall(r"--\w+", command))
    text = run("python", "tfagents_system/run.py", "--help").stdout
    assert {"--params", "--exp_dir", "--checkpoint", "--seed"} <= documented
    for flag in documented:
        assert f"{flag} " in text, flag
