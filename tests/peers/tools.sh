#!/bin/sh
# Sees to it that what the tests need is there: node (20 or newer), npm, curl, openssl, setpriv, faketime,
# and Chromium with its driver. Installs what is missing from Debian's packages, quietly.
set -eu

missing=""
for tool in node npm curl openssl setpriv faketime chromium chromedriver; do
    command -v "$tool" >/dev/null 2>&1 && continue
    case $tool in
        node) missing="$missing nodejs" ;;
        setpriv) missing="$missing util-linux" ;;
        chromedriver) missing="$missing chromium-driver" ;;
        *) missing="$missing $tool" ;;
    esac
done

if [ -n "$missing" ]; then
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "the tests need$missing: install them and try again" >&2
        exit 1
    fi
    as_root=""
    if [ "$(id -u)" -ne 0 ]; then as_root="sudo -n"; fi
    echo "installing$missing"
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update </dev/null
    # shellcheck disable=SC2086 # a list of packages
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $missing </dev/null >/dev/null
fi

major=$(node --version | sed 's/^v\([0-9]*\).*/\1/')
if [ "$major" -lt 20 ]; then
    echo "the tests need node 20 or newer, and this is $(node --version)" >&2
    exit 1
fi
