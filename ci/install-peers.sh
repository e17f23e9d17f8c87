#!/bin/sh
# Installs what the peers of `benches/peers` need, on Debian or Ubuntu. As root; may be run again at any time.
#
#   ci/install-peers.sh            everything
#   ci/install-peers.sh --check    installs nothing, says what is there
#
# Each part stands alone: what cannot be had is named at the end with what it costs, and the exit status is 1.
# It starts no server: the bench starts its own, in a directory of its own, and ends them.
set -u

check_only=no
case "${1:-}" in
    "") ;;
    --check) check_only=yes ;;
    *) echo "usage: $0 [--check]" >&2; exit 2 ;;
esac

missing=""
lost() { # what, why, what it costs
    echo "  $1: MISSING ($2)" >&2
    missing="$missing
  $1: without it $3"
}

# A package's daemon would start on its well-known port as soon as it is unpacked: say no while we install.
policy=/usr/sbin/policy-rc.d
own_policy=no
forbid_daemons() {
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' > "$policy" && chmod 755 "$policy" && own_policy=yes
    fi
}
allow_daemons() { [ "$own_policy" = yes ] && rm -f "$policy"; own_policy=no; }
trap allow_daemons EXIT
trap 'exit 130' INT TERM

installed() { dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; }

updated=no
apt_part() { # package, what the bench lacks without it
    if installed "$1"; then
        echo "  $1: $(dpkg-query -W -f '${Version}' "$1")"
        return
    fi
    if [ "$check_only" = yes ]; then lost "$1" "not installed" "$2"; return; fi
    if [ "$updated" = no ]; then
        apt-get update -qq || echo "  apt-get update failed: trying with the lists there are" >&2
        updated=yes
    fi
    log=$(mktemp)
    if DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1" > "$log" 2>&1; then
        echo "  $1: $(dpkg-query -W -f '${Version}' "$1") (installed now)"
    else
        lost "$1" "$(grep -m1 '^E:' "$log" || echo "apt-get failed, see $log")" "$2"
    fi
}

command -v apt-get > /dev/null || { echo "error: this script knows apt only; the packages are named in it" >&2; exit 1; }
if [ "$check_only" = no ]; then
    [ "$(id -u)" = 0 ] || { echo "error: apt needs root: run it with sudo, or ask with --check" >&2; exit 1; }
    forbid_daemons
fi

echo "Aeron (built from source by cargo, feature \`aeron\`):"
apt_part build-essential "no C code can be built: no Aeron, no ZeroMQ"
apt_part clang "Aeron's bindings cannot be made"
apt_part libclang-dev "Aeron's bindings cannot be made"
apt_part uuid-dev "Aeron's driver cannot be linked"
apt_part libbsd-dev "Aeron's driver cannot be linked"
apt_part zlib1g-dev "Aeron's driver cannot be linked"
if command -v javac > /dev/null && javac -version 2>&1 | grep -qE 'javac (1[7-9]|[2-9][0-9])'; then
    echo "  JDK: $(javac -version 2>&1)"
else
    apt_part openjdk-17-jdk-headless "Aeron's message codecs cannot be generated"
fi

# Aeron asks for CMake 3.30; Debian 12 has 3.25.
cmake_is_new_enough() {
    have=$(cmake --version 2>/dev/null | sed -n 's/^cmake version \([0-9.]*\).*/\1/p')
    [ -n "$have" ] && [ "$(printf '3.30\n%s\n' "$have" | sort -V | head -n1)" = 3.30 ]
}
if cmake_is_new_enough; then
    echo "  cmake: $have"
elif [ "$check_only" = yes ]; then
    lost "cmake >= 3.30" "found ${have:-none}" "Aeron cannot be built"
elif ! command -v pip3 > /dev/null; then
    lost "cmake >= 3.30" "found ${have:-none}, and there is no pip3 to get it with" "Aeron cannot be built"
else
    log=$(mktemp)
    pip3 install --quiet 'cmake>=3.30' > "$log" 2>&1 \
        || pip3 install --quiet --break-system-packages 'cmake>=3.30' > "$log" 2>&1
    hash -r
    if cmake_is_new_enough; then
        echo "  cmake: $have (installed now)"
    else
        lost "cmake >= 3.30" "pip3: $(tail -n1 "$log"); on the path: ${have:-none}" "Aeron cannot be built"
    fi
fi

echo "ZeroMQ (linked, feature \`zeromq\`):"
apt_part pkg-config "ZeroMQ cannot be found"
apt_part libzmq3-dev "no ZeroMQ"

echo "NATS and Redis (servers that the bench starts and ends):"
apt_part nats-server "no NATS"
apt_part redis-server "no Redis Streams"

if [ -n "$missing" ]; then
    echo "not everything is there; the bench marks these absent:$missing" >&2
    exit 1
fi
echo "every peer can be built. Next:"
echo "  cargo run --release --manifest-path benches/peers/Cargo.toml --features all-peers"
