#!/bin/sh
# Does on Amazon EC2 what a machine without cloud-init lacks there: fetches the public key that the instance
# was started with, lets it log in as the first user, and runs the user data where that is a script.
#
# Speaks version 2 of the instance metadata service only (a token first), which works on every instance.
# Needs curl or wget: build the image with --addpkg curl.

set -eu

# Where the service is; another one is for trying this script out.
METADATA=${METADATA:-http://169.254.169.254}
# Who gets the key; by default the first ordinary user, or root where there is none.
EC2_USER=${EC2_USER:-}
# How often to ask, two seconds apart, before the service is given up.
ATTEMPTS=${ATTEMPTS:-30}

# What `get` returns where the service has nothing under that name.
ABSENT=44

fail() {
    echo "ec2: $1" >&2
    exit 1
}

# request METHOD PATH HEADER FILE: the answer goes into FILE. Only 404 says that there is no such thing; the
# service may as well be busy (429, 503) or not know the token yet (401).
request() {
    status=0
    : >"$work/code"
    if command -v curl >/dev/null; then
        curl --silent --fail --max-time 10 --noproxy '*' --write-out '%{http_code}' \
            --request "$1" --header "$3" --output "$4" "$METADATA/latest/$2" >"$work/code" || status=$?
    else
        wget --quiet --server-response --tries=1 --timeout=10 --no-proxy \
            --method="$1" --header="$3" --output-document="$4" "$METADATA/latest/$2" \
            2>"$work/headers" || status=$?
        sed -n 's|^ *HTTP/[0-9.]* \([0-9]*\).*|\1|p' "$work/headers" | tail -n 1 >"$work/code"
    fi
    [ "$(cat "$work/code")" != 404 ] || return "$ABSENT"
    return "$status"
}

# Asks like `request`, again and again until the service gives an answer that is none of its troubles.
ask() {
    attempt=1
    while :; do
        status=0
        request "$@" || status=$?
        case $status in
            0 | "$ABSENT") return "$status" ;;
        esac
        [ "$attempt" -lt "$ATTEMPTS" ] || return "$status"
        attempt=$((attempt + 1))
        sleep 2
    done
}

get() {
    ask GET "$1" "X-aws-ec2-metadata-token: $token" "$2"
}

fetch_token() {
    ask PUT api/token "X-aws-ec2-metadata-token-ttl-seconds: 600" "$work/token" ||
        fail "the instance metadata service at $METADATA gives no token"
    token=$(cat "$work/token")
    [ -n "$token" ] || fail "the instance metadata service at $METADATA gave an empty token"
}

first_user() {
    user=$(getent passwd | sort -t : -n -k 3 | awk -F : '$3 >= 1000 && $3 < 60000 { print $1; exit }')
    echo "${user:-root}"
}

install_key() {
    status=0
    get meta-data/public-keys/0/openssh-key "$work/key" || status=$?
    if [ "$status" -eq "$ABSENT" ]; then
        echo "ec2: the instance was started without a key pair"
        return 0
    fi
    [ "$status" -eq 0 ] || fail "fetching the public key ended with status $status"
    key=$(head -n 1 "$work/key")
    [ -n "$key" ] || fail "the public key is empty"

    user=${EC2_USER:-$(first_user)}
    home=$(getent passwd "$user" | cut -d : -f 6)
    group=$(id -g "$user")
    [ -d "$home" ] || fail "user $user has no home directory"
    keys=$home/.ssh/authorized_keys
    [ -d "$home/.ssh" ] || install -d -m 0700 -o "$user" -g "$group" "$home/.ssh"
    [ -e "$keys" ] || install -m 0600 -o "$user" -g "$group" /dev/null "$keys"
    # A second run finds the key in its place.
    if ! grep -qxF -- "$key" "$keys"; then
        # A last line without an end would swallow the key.
        [ -z "$(tail -c 1 "$keys")" ] || echo >>"$keys"
        printf '%s\n' "$key" >>"$keys"
    fi
    echo "ec2: the instance's key may log in as $user"
}

run_user_data() {
    status=0
    get user-data "$work/user-data" || status=$?
    if [ "$status" -eq "$ABSENT" ]; then
        return 0
    fi
    [ "$status" -eq 0 ] || fail "fetching the user data ended with status $status"
    case $(head -c 2 "$work/user-data" | tr -d '\000') in
        '#!') ;;
        *)
            echo "ec2: the user data is no script; cloud-init would read other kinds"
            return 0
            ;;
    esac
    chmod 0700 "$work/user-data"
    # Where it fails, this script has failed, and both run again at the next boot.
    "$work/user-data" || fail "the user data ended with status $?"
    echo "ec2: the user data was run"
}

command -v curl >/dev/null || command -v wget >/dev/null ||
    fail "neither curl nor wget is there; build the image with --addpkg curl"

# User data may hold secrets: readable by root alone, and gone afterwards. Not in /tmp or /run, where files
# may not be run.
work=$(mktemp -d /var/lib/ec2-firstboot.XXXXXX)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

fetch_token
install_key
run_user_data
