#!/bin/sh
# install.sh PYTHON VENV EXTRAS [REQUIREMENT...]: a virtual environment with this checkout in it.
# Pinned by constraints/<python>-<machine>.txt where there is one, unless REQUIREMENTs ask for
# other versions than the pins.
set -eu
python=$1 venv=$2 extras=$3
shift 3

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "needs Python 3.11 or newer, $python is $("$python" --version 2>&1)" >&2
    exit 69
}
# Debian's python3 comes without ensurepip; its package is named after the version.
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
    "$(dirname "$0")/system-packages.sh" python3-venv

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
platform=$("$venv/bin/python" -c 'import platform, sys; print(f"py{sys.version_info[0]}{sys.version_info[1]}-{platform.machine()}")')
constraints=constraints/$platform.txt
set -- -e ".[$extras]" "$@"
if [ -f "$constraints" ] && [ "$#" -eq 2 ]; then
    set -- -c "$constraints" "$@"
fi
echo "installing linesight[$extras] into $venv ($platform)"
"$venv/bin/python" -m pip install -q --disable-pip-version-check "$@"
