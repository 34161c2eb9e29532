#!/bin/bash
# Measures rvmb against a plain mmdebstrap pipeline that makes a machine with the same packages.
#
#     bench/run.sh [RUNS]        (3 where not given)
#
# Both fetch packages through a small caching proxy on loopback, so the network does not count. The
# runs are interleaved, so that what else the machine does falls on all of them. Needs root, because
# the plain pipeline does, some 6 GB under $RVMB_BENCH_DIR (/var/tmp/rvmb-bench), and a quiet machine.
# RVMB_BENCH_MIRROR names a Debian mirror where the host's apt sources have none, or one by https.
set -euo pipefail
cd "$(dirname "$0")/.."

runs=${1:-3}
suite=bookworm
rvmb=$(realpath "${CARGO_TARGET_DIR:-target}/release/rvmb")
work=${RVMB_BENCH_DIR:-/var/tmp/rvmb-bench}
[ "$(id -u)" = 0 ] || { echo "bench: needs root, because the plain pipeline does" >&2; exit 1; }
mirror=${RVMB_BENCH_MIRROR:-$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 'Created-By: Packages' |
    awk '$1 == "Debian" && $2 == "Debian" { sub("/$", "", $3); print $3; exit }')}
case $mirror in
    http://*) ;;
    '') echo "bench: no Debian mirror in this host's apt sources; name one in RVMB_BENCH_MIRROR" >&2; exit 1 ;;
    *) echo "bench: $mirror cannot go through the proxy; name one by http in RVMB_BENCH_MIRROR" >&2; exit 1 ;;
esac

mkdir -p "$work"
results=$work/results.json
rm -rf "$work"/{out,cache,scratch,peer} "$results"
mkdir "$work/scratch"

# The proxy ends when the pipe to it does, at the latest with this script.
mkfifo "$work/pipe.$$"
tools/archive-proxy "$work/store" <"$work/pipe.$$" >"$work/proxy" &
exec 9>"$work/pipe.$$"
rm "$work/pipe.$$"
for ((tries = 0; tries < 100; tries++)); do
    proxy=$(cat "$work/proxy")
    [ -z "$proxy" ] || break
    sleep 0.1
done
[ -n "$proxy" ] || { echo "bench: the proxy did not start" >&2; exit 1; }

common=(kvm debian --suite "$suite" --mirror "$mirror" --proxy "$proxy" --hostname vm --addpkg openssh-server)
places=(--tmp "$work/scratch" --cache-dir "$work/cache")
printf '#!/bin/sh\necho hello\n' >"$work/hello.sh"

# The plain pipeline installs what rvmb's plan installs, by name, from the same suites; both without
# recommended packages.
"$rvmb" plan "${common[@]}" "${places[@]}" --destdir "$work/out" --json >"$work/plan.json"
planned() { python3 -c "import json, sys; plan = json.load(open(sys.argv[1])); $1" "$work/plan.json"; }
packages=$(planned 'print(",".join(plan["packages"]["base"] + plan["packages"]["system"] + plan["packages"]["added"]))')
mapfile -t sources < <(planned '[print("deb", s["uri"], s["suite"], *plan["archive"]["components"]) for s in plan["archive"]["sources"]]')
echo "bench: $runs runs of each; packages: $packages" >&2

# measured NAME PROGRAM COMMAND…
measured() {
    local name=$1 program=$2 log
    shift 2
    log="$work/${name//[ ,]/-}.log"
    sync
    if ! bench/measure.py "$results" "$name" "$log" "$program" -- "$@"; then
        tail -n 20 "$log" >&2
        echo "bench: $name failed" >&2
        exit 1
    fi
    tail -n 1 "$results" >&2
}
bake() {
    local name=$1
    shift
    measured "$name" "$rvmb" "$rvmb" "${common[@]}" "${places[@]}" --destdir "$work/out" --overwrite --progress plain "$@"
}
peer() { measured "$1" - bench/peer-mmdebstrap.sh "$work/peer" "$suite" "$proxy" "$packages" "${sources[@]}"; }

# Once unmeasured, so that the proxy has every package.
peer warm-up-peer
bake warm-up-rvmb --addpkg rsync
sed -i '/"warm-up-/d' "$results"

for ((run = 1; run <= runs; run++)); do
    peer peer
    rm -rf "$work/cache"
    bake cold
    bake "again, other user and first boot script" --user "alice$run" --firstboot "$work/hello.sh"
    bake "again, one more package" --addpkg rsync
done
bench/table.py "$results"
