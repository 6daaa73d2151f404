#!/usr/bin/env bash
# Sets the project up and prints the path of the Python interpreter to use, and
# nothing else, on stdout; what it does meanwhile goes to stderr:
#
#     python=$(scripts/setup.sh [--dev])
#
# --dev   also installs what scripts/check.sh and scripts/test.sh need
# --help  shows this text
#
# An activated conda environment `sac_utils` with TF-Agents in it (environment.yml)
# is used as it is, except for --dev. Otherwise the packages of requirements.lock
# are installed into .venv, which belongs to this script: it is emptied if a set-up
# did not get to its end. $SAC_PYTHON names the CPython (3.9 to 3.11) to make it
# with; without it, the one that .venv has stays, and at first the newest suitable
# one on PATH is taken. On Linux daemontools is installed too, where it is missing.
#
# Running it again is safe, from several terminals at once too, and takes no time
# as long as the lock files stay the same.
set -euo pipefail

root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv
# "MODE PYTHON-VERSION HASH" of what is installed; written last, removed first.
stamp=$venv/set-up

say() {
  printf 'setup.sh: %s\n' "$*" >&2
}

fail() {
  say "$@"
  exit 1
}

on_linux() {
  [[ $(uname) == Linux ]]
}

# Prints "IMPLEMENTATION VERSION PATH" of a command that runs; pyenv's shims may
# not. The path is the real one: through a link such as /usr/bin/python3, an upgrade
# of the system would put another version below the packages of .venv.
describe() {
  "$1" -I -c 'import os, platform, sys
path = os.path.realpath(sys.executable)
print(platform.python_implementation(), platform.python_version(), path)
' 2>/dev/null
}

# Prints "VERSION PATH" of the interpreter to make .venv with.
find_python() {
  local candidate described implementation version path found='' without_venv=''
  local candidates=(python3.11 python3.10 python3.9 python3 python)
  if [[ -n ${SAC_PYTHON:-} ]]; then
    candidates=("$SAC_PYTHON")
  fi
  for candidate in "${candidates[@]}"; do
    described=$(describe "$candidate") || continue
    read -r implementation version path <<<"$described"
    case "$implementation $version" in
    'CPython 3.9.'* | 'CPython 3.10.'* | 'CPython 3.11.'*)
      if "$path" -I -c 'import ensurepip, venv' 2>/dev/null; then
        printf '%s %s\n' "$version" "$path"
        return
      fi
      without_venv=${without_venv:-$version $path}
      ;;
    *) found+="${found:+, }$candidate = $implementation $version" ;;
    esac
  done
  if [[ -n $without_venv ]]; then
    printf '%s\n' "$without_venv"
    return
  fi
  fail "needs CPython 3.9, 3.10 or 3.11 but found ${found:-no Python that runs}" \
    "(looked for: ${candidates[*]}); install one, or set SAC_PYTHON to its path"
}

# Debian's Python comes without what makes virtual environments.
ensure_venv_module() {
  local version=$1 python=$2 package
  if "$python" -I -c 'import ensurepip, venv' 2>/dev/null; then
    return
  fi
  package=python${version%.*}-venv
  if ((EUID == 0)) && command -v apt-get >/dev/null; then
    say "installing the package $package"
    # A new machine knows no package until it has been told to look.
    apt_install "$package" 2>/dev/null ||
      { apt-get -qq update </dev/null >/dev/null && apt_install "$package"; } || true
  fi
  "$python" -I -c 'import ensurepip, venv' 2>/dev/null ||
    fail "$python cannot make a virtual environment: apt install $package"
}

apt_install() {
  DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 \
    install --no-install-recommends "$@" </dev/null >/dev/null
}

# The tests render with MuJoCo, which needs more than a machine without a screen has.
ensure_egl() {
  local packages=(libegl1 libgl1-mesa-dri libopengl0)
  if ! on_linux || compgen -G '/usr/lib*/*/libEGL.so.1' >/dev/null; then
    return
  fi
  if ((EUID == 0)) && command -v apt-get >/dev/null; then
    say "installing the packages ${packages[*]}"
    apt_install "${packages[@]}" 2>/dev/null ||
      { apt-get -qq update </dev/null >/dev/null && apt_install "${packages[@]}"; } ||
      true
  fi
  compgen -G '/usr/lib*/*/libEGL.so.1' >/dev/null ||
    say "tests that render with MuJoCo will fail: apt install ${packages[*]}"
}

# Twice quiet: a pip that is not set up for this project's sake may warn a lot.
pip_install() {
  PIP_ROOT_USER_ACTION=ignore "$venv/bin/python" -I -m pip install -qq \
    --disable-pip-version-check --no-build-isolation "$@" >&2
}

# Prints the lines of a lock file that are about the given packages (a|b|c).
locked() {
  awk -v "names=^($2)==" '/^[^ #]/ { wanted = $0 ~ names } wanted' "$1"
}

install_packages() {
  local lock=$1 attempt
  say "installing $lock into .venv (at first some 700 MB: minutes)"
  for attempt in 1 2; do
    # gym has no wheel. What builds it comes first, and from the lock as well:
    # otherwise pip would take the newest there is, unchecked.
    if locked "$root/$lock" 'packaging|setuptools|wheel' >"$venv/build.lock" &&
      pip_install --require-hashes -r "$venv/build.lock" &&
      pip_install --require-hashes -r "$root/$lock" &&
      pip_install --no-deps -e "$root"; then
      return
    elif ((attempt == 1)); then
      say 'that failed; trying once more'
    fi
  done
  fail 'the packages could not be installed: see above'
}

sha256() {
  if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi
}

# The place counts too: an editable installation points to it.
fingerprint() {
  {
    printf '%s\n' "$root"
    cat -- "$root/requirements.lock" "$root/requirements-dev.lock"
  } | sha256 | cut -d ' ' -f 1
}

set_up_venv() {
  local mode=$1 installed='' installed_mode='' installed_version=''
  local hash version python lock=requirements.lock
  hash=$(fingerprint)
  if [[ -x $venv/bin/python && -f $stamp ]]; then
    installed=$(<"$stamp")
    read -r installed_mode installed_version _ <<<"$installed" || true
  fi
  # What is there for development stays up to date.
  if [[ $mode == dev || $installed_mode == dev ]]; then
    mode=dev lock=requirements-dev.lock
  fi
  version=$installed_version
  if [[ -z $installed_version || -n ${SAC_PYTHON:-} ]]; then
    python=$(find_python)
    version=${python%% *} python=${python#* }
  fi
  if [[ "$mode $version $hash" == "$installed" ]]; then
    return
  fi
  if [[ $version != "$installed_version" ]]; then
    ensure_venv_module "$version" "$python"
    say "making .venv with Python $version"
    rm -f -- "$stamp"
    "$python" -I -m venv --clear "$venv" >&2
  fi
  rm -f -- "$stamp"
  install_packages "$lock"
  if [[ $mode == dev ]]; then
    ensure_egl
  fi
  printf '%s\n' "$mode $version $hash" >"$stamp"
  say 'done'
  if ! on_linux; then
    say 'this is not Linux: evaluation works, training does not (no Reverb)'
  fi
}

uses_conda() {
  [[ ${CONDA_PREFIX:-} == */sac_utils && -x $CONDA_PREFIX/bin/python ]] &&
    compgen -G "$CONDA_PREFIX/lib/python3.*/site-packages/tf_agents" >/dev/null
}

mode=runtime
for argument; do
  case $argument in
  --dev) mode=dev ;;
  --help)
    awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' "${BASH_SOURCE[0]}"
    exit
    ;;
  *) fail "unknown argument $argument; there are --dev and --help" ;;
  esac
done

# One at a time; the others then find the work done. macOS has no flock.
exec 9<"${BASH_SOURCE[0]}"
if command -v flock >/dev/null && ! flock --nonblock 9; then
  say 'waiting for another set-up to end'
  flock 9
fi

if [[ $mode == runtime ]] && uses_conda; then
  python=$CONDA_PREFIX/bin/python
else
  set_up_venv "$mode"
  python=$venv/bin/python
fi

if on_linux; then
  "$root/scripts/install_daemontools.sh" >/dev/null
fi

printf '%s\n' "$python"
