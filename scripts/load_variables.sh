#!/usr/bin/env bash
# What launch_training.sh, status.sh and stop_training.sh share; they source it.

# load_variables REPOSITORY FILE: exports what a training variables file assigns, as the
# archived system did; SAC_* values that are in the environment already win.
load_variables() {
  local repository=$1 file=$2 name
  local -A given=()
  # Paths are relative to the user's folder, or to the repository.
  [[ -f "$file" ]] || file=$repository/$file
  if [[ ! -f "$file" ]]; then
    echo "error: no variables file $2" >&2
    exit 2
  fi
  if ! bash -n "$file"; then
    echo "error: $2 is not a valid shell script, see above" >&2
    exit 2
  fi
  file=$(cd "$(dirname "$file")" && pwd)/$(basename "$file")
  for name in "${!SAC_@}"; do
    given[$name]=${!name}
  done
  # Users' files need not be written for -e and -u, and may source others relative to
  # the repository, as the archived system's do, or to their own folder.
  set +eu
  set -a
  pushd "$repository" >/dev/null
  replace_commands
  # shellcheck disable=SC1090
  builtin source "$file"
  unset -f . source run_python python python3 conda
  popd >/dev/null
  set +a
  set -eu
  for name in "${!given[@]}"; do
    export "$name=${given[$name]}"
  done
}

# Replaces commands of archived variables files, as functions, by ones that always
# work. $file is the variables file.
# shellcheck disable=SC1090,SC2329 # It calls them.
replace_commands() {
  source() {
    local sourced=$1 beside
    beside=$(dirname "$file")/$1
    if [[ -e $1 ]]; then
      # Without a slash Bash would look in PATH first.
      [[ $1 == */* ]] || sourced=./$1
    elif type -P "$1" >/dev/null; then
      : # Such as `source activate sac_utils`.
    elif [[ -e $beside ]]; then
      sourced=$beside
    elif [[ $1 == activate ]]; then
      return 0 # There is no conda.
    else
      echo "error: $file sources $1, which is neither in $PWD nor beside it" >&2
      exit 2
    fi
    builtin source "$sourced" "${@:2}"
  }
  .() { source "$@"; }
  # The launcher finds a free port itself, whether or not there is a portpicker.
  run_python() {
    if [[ "${2:-} ${3:-}" == "-m portpicker" ]]; then echo auto; else command "$@"; fi
  }
  python() { run_python python "$@"; }
  python3() { run_python python3 "$@"; }
  # Without conda, scripts/setup.sh has made an environment.
  if ! command -v conda >/dev/null; then
    conda() { :; }
  fi
}

# act_on_run REPOSITORY ACTION [VARIABLES.sh | EXPERIMENT_DIRECTORY]: shows (status) or
# stops (stop) a run.
act_on_run() {
  local repository=$1 action=$2 python
  shift 2
  case "${1:-}" in
    -h | --help)
      echo "usage: $(basename "$0") [VARIABLES.sh | EXPERIMENT_DIRECTORY]"
      exit 0
      ;;
    *.sh)
      load_variables "$repository" "$1"
      shift
      ;;
  esac
  python=$("$repository/scripts/setup.sh")
  PYTHONPATH=$repository${PYTHONPATH:+:$PYTHONPATH} \
    exec "$python" -m tfagents_system.launcher.status "$action" "$@"
}
