#!/usr/bin/env bash
# Checks the project's files without running them:
#
#     scripts/check.sh
#
# Every check runs, however many fail; the last lines say which did. What is to be
# checked is found, never listed: all that git tracks or would track. Without git, as
# after a download, it is all that .gitignore does not name.
set -euo pipefail

CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
python=$(scripts/setup.sh --dev)
# In front, so that no other version of a tool is taken.
PATH=$(dirname -- "$python"):$PATH

failed=()

# Runs a command and notes if it fails; says what it does without the file names.
check() {
  local name=$1
  shift
  printf '+ %s\n' "$name"
  "$@" || failed+=("$name")
}

list_files() {
  local line ignored=(-name .git)
  if [[ -e .git ]] && git rev-parse --git-dir >/dev/null 2>&1; then
    git ls-files -z --cached --others --exclude-standard
    return
  fi
  while read -r line; do
    case $line in
    '' | '#'*) ;;
    /*) ignored+=(-o -path ".${line%/}") ;;
    *) ignored+=(-o -name "${line%/}") ;;
    esac
  done <.gitignore
  find . \( "${ignored[@]}" \) -prune -o -type f -print0
}

# A file in the index may be gone from the work tree.
files=() scripts=() modules=()
while IFS= read -r -d '' file; do
  [[ -f $file && ! -L $file ]] || continue
  files+=("$file")
  # Read as bytes: the first line of a binary file can be anything.
  first_line=$(head -c 80 -- "$file" | LC_ALL=C tr -d '\0' | head -n 1)
  if [[ $file == *.sh || $first_line =~ ^#!.*[/\ ](ba|da)?sh(\ |$) ]]; then
    scripts+=("$file")
  elif [[ $file == *.py ]]; then
    modules+=("$file")
  fi
done < <(list_files)

check 'ruff format --check' ruff format --check --quiet -- "${modules[@]}"
check "ruff check (${#modules[@]} modules)" ruff check --quiet -- "${modules[@]}"
check 'mypy' mypy
check "shellcheck (${#scripts[@]} scripts)" shellcheck -- "${scripts[@]}"
check "codespell (${#files[@]} files)" codespell -- "${files[@]}"

if ((${#failed[@]} > 0)); then
  printf 'FAILED: %s\n' "${failed[@]}" >&2
  exit 1
fi
echo 'All checks passed.'
