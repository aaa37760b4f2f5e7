# What a page's commands find: a terminal for `bearward run`, a browser, and a person who agrees.
set -Eeuo pipefail
running=
trap 'echo "$at: failed: $BASH_COMMAND"; show_log' ERR
trap 'stop_running' EXIT
trap 'exit 143' TERM
mkdir -p "$HOME"

cat >"$folder/programs/xdg-open" <<BROWSER
#!/bin/sh
[ ! -e $folder/no-browser ] || exit 1
exec $(command -v curl) --silent --show-error --location --fail --output /dev/null --cookie "" \
    --proxy $proxy --noproxy 127.0.0.1,localhost --cacert $folder/ca.pem "\$1" 2>>$folder/browser.log
BROWSER
chmod +x "$folder/programs/xdg-open"

show_log() {
    tail -n 12 "$folder"/run.log "$folder"/browser.log 2>/dev/null || true
}

configure() {
    case $2 in
        /*) mkdir -p "$folder$(dirname "$2")" && cp "$1" "$folder$2" ;;
        *) cp "$1" "$folder/$2" ;;
    esac
}

curl() {
    command curl --silent --show-error --fail-with-body --max-time 60 "$@"
    echo
}

cargo() {
    case "$1 ${2-} ${3-} ${4-}" in
        "run --release -- "*) shift 3; bearward "$@" ;;
        *) echo "cargo $* is not known here"; return 1 ;;
    esac
}

bearward() {
    case "$1 $*" in
        "login "*--paste*) paste_login "$@" ;;
        "run "*) run_on "$@" ;;
        "demo "*) try_demo "$@" ;;
        *) command bearward "$@" ;;
    esac
}

run_on() {
    stop_running
    command bearward "$@" >"$folder/run.out" 2>"$folder/run.log" &
    running=$!
    # Until it serves, and has tried to obtain its first tokens.
    for _ in $(seq 600); do
        kill -0 "$running" 2>/dev/null || { echo "run has ended"; return 1; }
        if command curl --silent --fail --output /dev/null "http://$admin/livez" &&
            ! command curl --silent "http://$admin/api/status" | grep -q '"state":"pending"'; then
            return 0
        fi
        sleep 0.1
    done
    echo "run does not serve"
    return 1
}

# The demo prints the curl line to try.
try_demo() {
    stop_running
    command bearward "$@" >"$folder/demo.out" 2>"$folder/run.log" &
    running=$!
    for _ in $(seq 600); do
        kill -0 "$running" 2>/dev/null || { echo "demo has ended"; return 1; }
        line=$(grep -om1 'curl .*' "$folder/demo.out" || true)
        if [ -n "$line" ] && eval "$line"; then
            return 0
        fi
        sleep 0.1
    done
    echo "the demo prints no curl line that works"
    return 1
}

stop_running() {
    [ -n "$running" ] || return 0
    local process=$running
    running=
    kill -TERM "$process" 2>/dev/null || true
    wait "$process" || { echo "run ended with $?"; return 1; }
}

# The person opens the printed address elsewhere, and pastes the address that the browser ends up at.
paste_login() {
    local address='' location pipe="$folder/pasted"
    rm -f "$pipe" "$folder/login.out"
    mkfifo "$pipe"
    # This machine has no browser.
    touch "$folder/no-browser"
    command bearward "$@" <"$pipe" >"$folder/login.out" &
    local process=$!
    exec 9>"$pipe"
    for _ in $(seq 600); do
        address=$(grep -om1 'https\?://.*' "$folder/login.out" || true)
        [ -z "$address" ] || break
        kill -0 "$process" 2>/dev/null || break
        sleep 0.1
    done
    location=$(command curl --silent --output /dev/null --dump-header - --proxy "$proxy" --cacert "$folder/ca.pem" "$address" |
        sed -n 's/^[Ll]ocation: //p' | tr -d '\r')
    echo "$location" >&9
    exec 9>&-
    wait "$process"
    rm "$folder/no-browser"
}

finish() {
    stop_running
}
at='before the first block'
