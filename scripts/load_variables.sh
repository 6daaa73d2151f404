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
  # Users' files need not be written for -e and -u, and may source their neighbours
  # relative to the repository, as the archived system's do.
  set +eu
  set -a
  pushd "$repository" >/dev/null
  # shellcheck disable=SC1090
  source "$file"
  popd >/dev/null
  set +a
  set -eu
  for name in "${!given[@]}"; do
    export "$name=${given[$name]}"
  done
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
