#!/usr/bin/env bash
# The Debian packages that tests need beyond Python and Node: installs the missing ones and says so.
#   system_packages.sh               everything that `make test` needs
#   system_packages.sh venv PYTHON   only what `PYTHON -m venv` needs
set -euo pipefail

missing=()
need() { # need PACKAGE COMMAND...: the package is missing when the command fails
  local package=$1
  shift
  "$@" >/dev/null 2>&1 || missing+=("$package")
}
has_postgres() { compgen -G '/usr/lib/postgresql/*/bin/initdb'; }
has_fonts() { compgen -G '/usr/share/fonts/*/*/*.ttf'; }
venv_package() { # Debian splits ensurepip off into pythonX.Y-venv
  "$1" -c 'import sys; print("python{}.{}-venv".format(*sys.version_info))'
}

if [ "${1:-}" = venv ]; then
  need "$(venv_package "$2")" "$2" -c 'import ensurepip, venv'
else
  need chromium command -v chromium
  need ffmpeg command -v ffprobe
  need postgresql has_postgres
  need fonts-dejavu-core has_fonts
  for program in radosgw ceph-mon ceph-osd; do need "$program" command -v "$program"; done
  need ceph-common command -v ceph
  need faketime command -v faketime
fi
[ ${#missing[@]} -eq 0 ] && exit 0

install=(apt-get install --yes --no-install-recommends "${missing[@]}")
if ! command -v apt-get >/dev/null; then
  echo "Missing on this machine: ${missing[*]} (Debian's names). Install them and run make again." >&2
  exit 1
fi
if [ "$(id -u)" != 0 ]; then
  echo "Missing on this machine: ${missing[*]}. Run:  sudo ${install[*]}  and then make again." >&2
  exit 1
fi
echo "Installing with apt-get, because the tests need them: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update --quiet=2
"${install[@]}" --quiet=2 >/dev/null
