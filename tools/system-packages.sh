#!/bin/sh
# Make sure that Debian packages are there: install those that are not, with sudo when needed.
set -eu
missing=""
for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' ||
        missing="$missing $package"
done
[ -n "$missing" ] || exit 0

sudo=""
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || {
        echo "needs the Debian packages$missing: run 'apt-get install$missing' as root" >&2
        exit 69
    }
    sudo=sudo
fi
echo "installing Debian packages:$missing"
# A broker that a test needs must not become a service of this machine: policy-rc.d would say so
# for the whole system, RUNLEVEL=1 says it to this one call.
$sudo apt-get update -qq
# shellcheck disable=SC2086  # one argument a package
$sudo env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends $missing >/dev/null
