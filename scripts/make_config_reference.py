"""Writes docs/configuration.md from the schema of the JSON and the hyperparameters.

.venv/bin/python scripts/make_config_reference.py [OUTPUT]
"""

from __future__ import annotations

import argparse
import ast
import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from tfagents_system.settings import config_schema
from tfagents_system.settings.checks import describe_type, find_check
from tfagents_system.settings.hyperparameters import HINTS, Hyperparameters

PAGE = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"
TEXT = """# Configuration

The keys of the JSON (`SAC_CONFIG`) and the attributes of `TrainParams`. This page is
generated: edit `settings/config_schema.py` and `settings/hyperparameters.py`, then run
`scripts/make_config_reference.py`.

## The JSON

Plain JSON: no comments, and no key twice in the same object. An error message gives
the path of the wrong value, for example `curriculum.friction.iters[2]`.

{config}

All other keys at the top level belong to your environment. The whole object, a plain
`dict`, is `self.env_config` in your `TrainParams`.

- **`horizon`**: if it is missing, the framework takes the time limit of the collect
  environment (the smallest one among its wrappers). It then adds `horizon` to the
  `config.json` in the experiment directory and to `env_config`. In that case your
  `TrainParams` must not read `env_config["horizon"]`.
- **`train_params`**: overrides what the params file sets. JSON arrays become tuples.

### An entry of `curriculum`

{curriculum}

[curriculum.md](curriculum.md) explains them.

## Attributes of `TrainParams`

Set them in `__init__` of your `TrainParams`, after `super().__init__(env_config)`, or
by name in the JSON under `train_params`. Numbers must be finite; an integer is accepted
where the type is `float`.

{attributes}"""


def make_table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Returns a Markdown table."""
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines
    )


def describe_struct(kind: type[msgspec.Struct]) -> str:
    """Returns the table of a struct of the schema."""
    rows = [
        (
            f"`{field.encode_name}`",
            config_schema.describe(field.type),
            "yes" if field.required else "no",
        )
        for field in msgspec.structs.fields(kind)
    ]
    return make_table(("Key", "What it must be", "Required"), rows)


def read_attributes() -> Iterator[tuple[str, str, str]]:
    """Yields group, name and description of each attribute, in the source's order.

    The description is in the `#:` lines above an attribute. A group begins with a `#`
    line after an empty one, and ends at the next empty line.
    """
    lines = inspect.getsource(Hyperparameters).splitlines()
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


def describe_attributes() -> str:
    """Returns a section with a table for each group of attributes."""
    groups: dict[str, list[tuple[str, ...]]] = {}
    for group, name, description in read_attributes():
        check = find_check(HINTS[name])
        row = (
            f"`{name}`",
            f"`{describe_type(HINTS[name])}`",
            f"`{getattr(Hyperparameters, name)!r}`",
            description,
            check.requirement if check else "",
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
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("output", nargs="?", type=Path, default=PAGE)
    output = parser.parse_args().output
    text = TEXT.format(
        config=describe_struct(config_schema.Config),
        curriculum=describe_struct(config_schema.ParameterCurriculum),
        attributes=describe_attributes(),
    )
    output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
