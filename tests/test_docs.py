"""What the documentation shows works, and what it names exists."""

from __future__ import annotations

import functools
import inspect
import json
import re
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.scripts.test_shell import run
from tests.test_imports import OWN_IMPORTS, rooms
from tfagents_system.settings import (
    configuration,
    curriculum,
    hyperparameters,
    params_file,
)
from tfagents_system.train_params_base import TrainParamsBase

README = REPOSITORY / "README.md"
DOCS = REPOSITORY / "docs"
PACKAGE = REPOSITORY / "tfagents_system"
DOCUMENTS = [
    README,
    REPOSITORY / "CONTRIBUTING.md",
    REPOSITORY / "CHANGELOG.md",
    *sorted(DOCS.glob("*.md")),
]
# Where a path in the text may begin.
FOLDERS = (REPOSITORY, PACKAGE)
# Files that a reader writes, or that a training writes.
READERS_OWN = {"cart_params.py", "my_sac.py", "my_params.py", "params.py"}
# Sections of the archived documentation, which others link to.
ARCHIVED_ANCHORS = {
    "installation",
    "usage",
    "training---code",
    "training---configuration",
    "training---execution",
    "policy-evaluation",
    "environment-parameters-curriculum",
    "slurm-support",
}

# A command of this project, and what follows it on its line.
COMMAND = re.compile(
    r"(?P<program>\b(?:scripts/[\w/]+|\w+)\.sh|\b(?:scripts|tfagents_system)/[\w/]+\.py"
    r"|\brun\.py|-m tfagents_system[\w.]*(?: \w+)?|\bsac-train)(?P<arguments>.*)"
)
FLAG = re.compile(r"(?<!\S)--[a-zA-Z]\w*(?:-\w+)*")
# One of sbatch, and one that the launcher refuses.
FLAGS_OF_OTHERS = {
    "--fast",
    "--randomly-seed",
    # sbatch
    "--array",
    "--cpus-per-task",
    "--hint",
    "--mem",
    "--no-kill",
    "--no-requeue",
    "--nodes",
    "--ntasks",
    "--output",
    "--requeue",
    "--signal",
    "--time",
}
# What prints the help where the command itself would install packages.
HELP_FROM = {"scripts/benchmark/run.sh": "scripts/benchmark/run.py"}

all_documents = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: path.name
)


def code_blocks(document: Path, language: str) -> list[str]:
    """Returns the code blocks of a language, in order."""
    blocks = re.findall(r"^ *```(\w*)\n(.*?)^ *```$", document.read_text(), re.S | re.M)
    return [block for name, block in blocks if name == language]


def prose(document: Path) -> str:
    """Returns a document without its code blocks."""
    return re.sub(r"^ *```.*?^ *```$", "", document.read_text(), flags=re.S | re.M)


def anchors(document: Path) -> set[str]:
    """Returns the anchors that GitHub gives the headings of a document."""
    found: Counter[str] = Counter()
    slugs = set()
    for heading in re.findall(r"^#+ +(.*?) *$", prose(document), re.M):
        text = re.sub(r"!?\[([^]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        slugs.add(f"{slug}-{found[slug]}" if found[slug] else slug)
        found[slug] += 1
    return slugs


def links(document: Path) -> list[tuple[Path, str]]:
    """Returns the file and the anchor of each relative link of a document."""
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(document))
    targets += re.findall(r'src="([^"]+)"', prose(document))
    relative = [t for t in targets if not re.match(r"[a-z]+:", t)]
    parts = [target.partition("#") for target in relative]
    return [
        ((document.parent / path).resolve() if path else document, anchor)
        for path, _, anchor in parts
    ]


def inline_code(document: Path) -> list[str]:
    """Returns the code in the text, but for error messages; each on one line."""
    found = re.findall(r"`([^`]+)`", prose(document))
    return [" ".join(code.split()) for code in found if "error:" not in code]


def readers_flags(document: Path) -> set[str]:
    """Returns the flags that become keys of the reader's `env_config`."""
    keys = re.findall(r'env_config\["(\w+)"\]', document.read_text())
    return {f"--{key}" for key in keys}


def shown_flags(document: Path) -> dict[str, set[str]]:
    """Returns the flags that a document shows with a command, by the command."""
    blocks = [*code_blocks(document, "bash"), *code_blocks(document, "")]
    lines = re.sub(r"\\\n *", " ", "\n".join(blocks)).splitlines()
    lines += inline_code(document)
    flags: dict[str, set[str]] = {}
    for line in lines:
        for command in re.split(r"&&|\|", line.partition(" #")[0]):
            if match := COMMAND.search(command):
                found = set(FLAG.findall(match["arguments"])) - readers_flags(document)
                if found:
                    flags.setdefault(match["program"], set()).update(found)
    return flags


def has_flag(program: str, flag: str) -> bool:
    """Returns whether the help of a command has a flag."""
    return bool(re.search(rf"(?<![\w-]){flag}(?![\w-])", help_of(program)))


@functools.cache
def help_of(program: str) -> str:
    """Returns what a command says when it is asked for help."""
    program = HELP_FROM.get(program, program)
    if program == "run.py":
        program = "tfagents_system/run.py"
    if program == "sac-train":
        program = "-m tfagents_system.train"
    if program.endswith(".sh"):
        command = [str(REPOSITORY / program)]
    else:
        command = [sys.executable, *program.split()]
    result = run(*command, "--help")
    assert "usage" in result.stdout.lower(), (program, result.stdout, result.stderr)
    return result.stdout


def test_example_of_an_own_environment_works(tmp_path: Path) -> None:
    from tfagents_system.environments import checks, hooks

    (tmp_path / "cart_params.py").write_text(code_blocks(README, "python")[0])
    (tmp_path / "cart.json").write_text(code_blocks(README, "json")[0])
    (variables,) = (b for b in code_blocks(README, "bash") if "SAC_EXP_NAME=cart" in b)
    for name in ("cart_params.py", "cart.json"):
        variables = variables.replace(f"={name}", f"='{tmp_path / name}'")
    (tmp_path / "cart.sh").write_text(variables)
    result = run("./launch_training.sh", tmp_path / "cart.sh", "--dry-run")
    assert result.returncode == 0, result.stderr

    params = params_file.load_params(
        tmp_path / "cart_params.py",
        configuration.load_config(tmp_path / "cart.json"),
        TrainParamsBase,
    )
    assert params.n_buffer_init_episodes == 5
    env = hooks.make_collect_env(params, worker=0, seed=0)
    checks.check_spaces(env)
    assert env.reset().observation.shape == (3,)


def test_curriculum_of_the_documentation_is_valid() -> None:
    first, second = code_blocks(DOCS / "curriculum.md", "json")
    schedules = curriculum.make_schedules(json.loads("{" + first + "}"))
    assert sorted(schedules) == ["friction", "mass"]
    schedules = curriculum.make_schedules(json.loads("{" + second + "}"))
    assert schedules["wind"].is_uniform


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
    assert (DOCS / page).read_text() == made.read_text(), advice


def test_the_reference_has_every_attribute_with_its_default() -> None:
    reference = (DOCS / "configuration.md").read_text()
    for name in hyperparameters.HINTS:
        default = getattr(hyperparameters.Hyperparameters, name)
        assert re.search(
            rf"^\| `{name}` \| `[^|]+` \| `{re.escape(repr(default))}` \| \w",
            reference,
            re.M,
        ), name


def test_every_attribute_is_described_beside_it() -> None:
    source = inspect.getsource(hyperparameters.Hyperparameters)
    for name in hyperparameters.HINTS:
        described = re.search(rf"(?:    #: .*\n)+    {name}: ", source)
        assert described, f"{name} has no description"


@all_documents
def test_links_lead_somewhere(document: Path) -> None:
    for path, anchor in links(document):
        assert path.exists(), path
        if anchor:
            assert anchor in anchors(path), f"{path.name}#{anchor}"


def test_anchors_follow_the_rule_of_github(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A worker's step\n## Training - Code\n### `sac_log_alpha = -7`\n"
        "```bash\n# no heading\n```\n## [Linked](page.md)\n## Again\n## Again\n"
    )
    assert anchors(page) == {
        "a-workers-step",
        "training---code",
        "sac_log_alpha---7",
        "linked",
        "again",
        "again-1",
    }


def test_the_anchors_of_the_archived_documentation_are_there() -> None:
    assert anchors(DOCS / "documentation.md") >= ARCHIVED_ANCHORS


def test_every_page_is_a_link_away_from_the_readme_or_the_index() -> None:
    reached = {
        path for page in (README, DOCS / "documentation.md") for path, _ in links(page)
    }
    assert reached >= set(DOCUMENTS) - {README}


# docs/moving.md says what it is called now.
ARCHIVED_LAUNCHER = "run_script.sh"


@all_documents
def test_scripts_and_modules_that_are_named_exist(document: Path) -> None:
    text = document.read_text()
    for script in re.findall(r"(?<![\w/.])(scripts/[\w/]+\.sh|\w+_\w+\.sh)\b", text):
        is_there = (REPOSITORY / script).exists()
        assert is_there or script == ARCHIVED_LAUNCHER, script
    modules = re.findall(r"`((?:\w+/)*\w+\.(?:py|txt))`", text)
    modules += re.findall(r"(?<![\w/.…])((?:\w+/)+\w+\.py)\b", text)
    for module in modules:
        if module not in READERS_OWN:
            assert any((folder / module).exists() for folder in FOLDERS), module


@all_documents
def test_flags_that_are_shown_exist(document: Path) -> None:
    for program, flags in shown_flags(document).items():
        for flag in flags:
            assert has_flag(program, flag), f"{program} has no {flag}"


@all_documents
def test_flags_without_a_command_belong_to_one(document: Path) -> None:
    programs = {program for page in DOCUMENTS for program in shown_flags(page)}
    flags = {flag for code in inline_code(document) for flag in FLAG.findall(code)}
    for flag in flags - readers_flags(document) - FLAGS_OF_OTHERS:
        assert any(has_flag(program, flag) for program in programs), flag


def test_flags_are_found_in_blocks_and_in_the_text() -> None:
    shown = shown_flags(README)
    assert {"--params", "--exp_dir", "--checkpoint"} <= shown["tfagents_system/run.py"]
    assert {"--logdir", "--hidden"} <= shown["-m tfagents_system.train"]
    assert shown["launch_training.sh"] >= {"--dry-run", "--detach"}
    shown = shown_flags(DOCS / "reliability.md")
    assert shown["scripts/reliability/soak.py"] == {"--minutes"}


def test_the_rooms_of_the_architecture_are_those_of_the_package() -> None:
    listed = re.findall(
        r"^\| `(\w+)/` \|", (DOCS / "architecture.md").read_text(), re.M
    )
    folders = [path.parent.name for path in PACKAGE.glob("*/__init__.py")]
    assert sorted(listed) == sorted(folders)


def test_rooms_import_only_what_the_architecture_lists_above_them() -> None:
    (order,) = re.findall(
        r"^```\n(errors\n.*?)^```", (DOCS / "architecture.md").read_text(), re.S | re.M
    )
    allowed: dict[str, set[str]] = {
        "launcher": {"errors", "host", "settings", "experiment"},
        "utils": set(),
    }
    above: set[str] = set()
    for line in order.splitlines():
        allowed.update({room: set(above) for room in line.split()})
        above |= set(line.split())
    imports = rooms(OWN_IMPORTS)
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders <= set(allowed)
    for room, names in allowed.items():
        assert imports[room] <= names, room
