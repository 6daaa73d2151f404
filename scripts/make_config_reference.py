"""Writes docs/configuration.md from the schema of the JSON and from TrainParamsBase.

.venv/bin/python scripts/make_config_reference.py [OUTPUT]
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tfagents_system.settings import config_schema
from tfagents_system.settings.configuration import ATTRIBUTE_TYPES
from tfagents_system.train_params_base import CHECKS, TrainParamsBase

PAGE = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"
TEXT = """# Configuration

The keys of the JSON (`SAC_CONFIG`) and the attributes of `TrainParams`. Made by
`scripts/make_config_reference.py` from `config_schema.py` and `train_params_base.py`:
change those.

## The JSON

Plain JSON: no comments, no key twice in an object. What is wrong is said with its
path, as `curriculum.friction.iters[2]` (see [bad_input.md](bad_input.md)).

{config}

Every other key at the top level is your environment's. The whole object, a plain
`dict`, is `self.env_config` in your `TrainParams`.

- **`horizon`**: without it, the time limit of the environment to collect in is taken
  (the smallest of the wrappers around it). The snapshot `config.json` in the
  experiment directory then has it, and so has `env_config` while training; but your
  `TrainParams` must not need `env_config["horizon"]` in that case.
- **`train_params`**: wins over what the params file sets. A JSON array becomes a
  tuple.

### An entry of `curriculum`

{curriculum}

What they mean is in [curriculum.md](curriculum.md).

## Attributes of `TrainParams`

Set them in `__init__` of your `TrainParams`, after `super().__init__(env_config)`, or
by name in the JSON under `train_params`. Numbers must be finite; where a `float` is
wanted, a whole number will do.

{attributes}"""


def make_table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Returns a Markdown table."""
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines
    )


def describe_struct(kind: type[msgspec.Struct]) -> str:
    """Returns the table of a struct of the schema."""
    described = config_schema.properties(kind)
    rows = [
        (
            f"`{field.encode_name}`",
            str(described[field.encode_name]["description"]),
            "yes" if field.required else "no",
        )
        for field in msgspec.structs.fields(kind)
    ]
    return make_table(("Key", "What it must be", "Required"), rows)


def read_attributes() -> Iterator[tuple[str, str, str]]:
    """Yields group, name and description of each attribute, in the source's order.

    The description is in the `#:` lines above it; a group begins with a `#` line after
    an empty one, and ends with the next empty line.
    """
    lines = inspect.getsource(TrainParamsBase).splitlines()
    (parsed,) = ast.parse("\n".join(lines)).body
    assert isinstance(parsed, ast.ClassDef)
    assigned = {
        statement.lineno - 1: statement.target.id
        for statement in parsed.body
        if isinstance(statement, ast.AnnAssign)
        and isinstance(statement.target, ast.Name)
    }
    group, description = "", ""
    for index, line in enumerate(map(str.strip, lines)):
        if not line:
            group = ""
        elif line.startswith("#:"):
            description = f"{description} {line[2:].strip()}".strip()
        elif line.startswith("# "):
            group = f"{group} {line[2:]}".strip()
        elif index in assigned:
            yield group, assigned[index], description
            description = ""


def describe_type(kind: Any) -> str:
    """Returns a type as a user writes it."""
    name = getattr(kind, "__name__", "") if isinstance(kind, type) else ""
    return name if name and "[" not in str(kind) else str(kind).replace("typing.", "")


def describe_attributes() -> str:
    """Returns a section with a table for each group of attributes."""
    groups: dict[str, list[tuple[str, ...]]] = {}
    for group, name, description in read_attributes():
        requirement = CHECKS[name][1] if name in CHECKS else ""
        row = (
            f"`{name}`",
            f"`{describe_type(ATTRIBUTE_TYPES[name])}`",
            f"`{getattr(TrainParamsBase, name)!r}`",
            description,
            requirement,
        )
        groups.setdefault(group or "General.", []).append(row)
    sections = []
    for group, rows in groups.items():
        title, _, note = group.partition(".")
        text = f"{note.strip()}\n\n" if note.strip() else ""
        header = ("Attribute", "Type", "Default", "Meaning", "Condition")
        sections.append(f"### {title}\n\n{text}{make_table(header, rows)}\n")
    return "\n".join(sections)


def main() -> None:
    """Runs from the command line."""
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE
    text = TEXT.format(
        config=describe_struct(config_schema.Config),
        curriculum=describe_struct(config_schema.ParameterCurriculum),
        attributes=describe_attributes(),
    )
    output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
