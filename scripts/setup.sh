#!/usr/bin/env bash
# Sets the project up and prints the path of the Python interpreter to use, and
# nothing else, on stdout; what it does meanwhile goes to stderr:
#
#     python=$(scripts/setup.sh [--dev])
#
# --dev   also installs what scripts/check.sh and scripts/test.sh need
# --help  shows this text
#
# An activated conda environment `sac_utils` with the TF-Agents of requirements.lock
# (environment.yml) is used as it is, except for --dev. Otherwise the packages of
# requirements.lock are installed into .venv, which belongs to this script: it is
# emptied if a set-up did not get to its end. $SAC_PYTHON names the CPython (3.9 to 3.11) to make it
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
    "(looked for: ${candidates[*]}); get one with: $(ways_to_python)"
}

# Prints the commands that bring a suitable Python, those of this machine first.
ways_to_python() {
  local version
  for version in 3.11 3.10 3.9; do
    if apt-cache show "python$version-venv" >/dev/null 2>&1; then
      printf 'apt install python%s-venv; or: ' "$version"
      break
    fi
  done
  # shellcheck disable=SC2016 # The reader's shell expands it.
  printf '%s' 'uv python install 3.11 && export SAC_PYTHON=$(uv python find 3.11);' \
    ' or: conda env create --file environment.yml && conda activate sac_utils'
}

# Debian's Python comes without what makes virtual environments.
ensure_venv_module() {
  local version=$1 python=$2 package
  package=python${version%.*}-venv
  if ! "$python" -I -c 'import ensurepip, venv' 2>/dev/null; then
    apt_install "$package" || true
    "$python" -I -c 'import ensurepip, venv' 2>/dev/null ||
      fail "$python cannot make a virtual environment: apt install $package"
  fi
}

# What the tests need beside Python: to render with MuJoCo on a machine without a
# screen, to try the firewall rule of docs/security.md between two networks, and a
# SLURM cluster of this machine.
ensure_test_packages() {
  local missing=()
  compgen -G '/usr/lib*/*/libEGL.so.1' >/dev/null ||
    missing+=(libegl1 libgl1-mesa-dri libopengl0)
  [[ -x /usr/sbin/nft ]] || missing+=(nftables)
  command -v ip >/dev/null || missing+=(iproute2)
  [[ -x /usr/sbin/slurmctld && -x /usr/sbin/munged ]] || missing+=(slurm-wlm munge)
  if ((${#missing[@]} > 0)); then
    apt_install "${missing[@]}" ||
      say "some tests will fail: apt install ${missing[*]}"
  fi
}

# Installs Debian packages, where that is possible.
apt_install() {
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -y
    -o DPkg::Lock::Timeout=300)
  if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
    return 1
  fi
  say "installing the packages $*"
  # A new machine knows no package until it has been told to look.
  "${apt[@]}" install --no-install-recommends "$@" </dev/null >/dev/null 2>&1 ||
    { "${apt[@]}" update </dev/null >/dev/null &&
      "${apt[@]}" install --no-install-recommends "$@" </dev/null >/dev/null; }
}

# Fails where what is about to change cannot be written: the checkout is read-only, or
# sudo has made .venv.
check_writable() {
  local folder
  for folder in "$root" "$venv" "$venv"/lib/python3.*/site-packages; do
    if [[ -e $folder && ! -w $folder ]]; then
      fail "cannot write to $folder, which belongs to $(owner "$folder"): use a" \
        "checkout of your own, or give it to you with sudo chown -R $(id -un) $root"
    fi
  done
}

owner() {
  # shellcheck disable=SC2012 # GNU's and BSD's stat differ.
  ls -ld -- "$1" | awk '{ print $3 }'
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
  check_writable
  if [[ $version != "$installed_version" ]]; then
    ensure_venv_module "$version" "$python"
    say "making .venv with Python $version"
    rm -f -- "$stamp"
    "$python" -I -m venv --clear "$venv" >&2
  fi
  rm -f -- "$stamp"
  install_packages "$lock"
  printf '%s\n' "$mode $version $hash" >"$stamp"
  say 'done'
  if ! on_linux; then
    say 'this is not Linux: evaluation works, training does not (no Reverb)'
  fi
}

# Not the environment of that name that the archived framework made.
uses_conda() {
  local version
  [[ ${CONDA_PREFIX:-} == */sac_utils && -x $CONDA_PREFIX/bin/python ]] || return
  version=$(locked "$root/requirements.lock" 'tf-agents' | sed -n '1s/.*==\([0-9.]*\).*/\1/p')
  compgen -G "$CONDA_PREFIX/lib/python3.*/site-packages/tf_agents-$version.dist-info" \
    >/dev/null ||
    { say "$CONDA_PREFIX has no TF-Agents $version; using .venv" && return 1; }
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
  # Each time: .venv may have come from elsewhere, such as a cache.
  if [[ $mode == dev ]]; then
    ensure_test_packages
  fi
fi

printf '%s\n' "$python"
