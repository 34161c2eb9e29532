#!/bin/sh
# Brings a new machine up to date: takes its host name from DHCP where it still has the image's, installs
# all updates without a question, and prints the addresses under which it can be reached.

set -eu

# Host names that mean nobody has named this machine. Change the list if your images have another.
DEFAULT_NAMES="vm debian ubuntu localhost"

# Waits for a way out, a minute at most: without one there is nothing to take a name or updates from.
wait_for_network() {
    seconds=0
    until [ -n "$(ip -4 route show default)$(ip -6 route show default)" ]; do
        if [ "$seconds" -ge 60 ]; then
            echo "generic: the machine has no default route after $seconds seconds" >&2
            return 1
        fi
        seconds=$((seconds + 1))
        sleep 1
    done
}

# The host name in the lease of systemd-networkd or of dhclient; nothing where the server gave none.
name_from_dhcp() {
    cat /run/systemd/netif/leases/* 2>/dev/null | sed -n 's/^HOSTNAME=//p' | head -n 1
    cat /var/lib/dhcp/dhclient*.leases 2>/dev/null |
        sed -n 's/^ *option host-name "\(.*\)";$/\1/p' | tail -n 1
}

set_name() {
    old=$(cat /etc/hostname 2>/dev/null || hostname)
    case " $DEFAULT_NAMES " in
        *" $old "*) ;;
        *) return 0 ;;
    esac
    new=$(name_from_dhcp | head -n 1)
    new=${new%%.*}
    # What a server on the network says is not trusted: a host name is letters, digits and hyphens.
    case $new in
        "" | -* | *[!A-Za-z0-9-]*) return 0 ;;
    esac
    [ "$new" != "$old" ] || return 0

    # The new name must resolve before it is taken, or sudo complains.
    if ! grep -qw -- "$new" /etc/hosts; then
        printf '127.0.1.1\t%s\n' "$new" >>/etc/hosts
    fi
    printf '%s\n' "$new" >/etc/hostname
    hostname "$new"
    echo "generic: the host name is now $new"
}

# Waits for another apt, keeps configuration files that were changed, and lets needrestart decide.
quiet_apt() {
    DEBIAN_FRONTEND=noninteractive APT_LISTCHANGES_FRONTEND=none NEEDRESTART_MODE=a \
        apt-get -q -y \
        -o DPkg::Lock::Timeout=600 \
        -o Acquire::Retries=3 \
        -o APT::Update::Error-Mode=any \
        -o Dpkg::Options::=--force-confdef \
        -o Dpkg::Options::=--force-confold \
        "$@"
}

wait_for_network
set_name

# A run that was cut short leaves packages half configured; where there are none this does nothing.
DEBIAN_FRONTEND=noninteractive dpkg --configure -a --force-confdef --force-confold
quiet_apt update
quiet_apt --with-new-pkgs upgrade
quiet_apt clean

if [ -e /run/reboot-required ] || [ -e /var/run/reboot-required ]; then
    echo "generic: some updates need a restart of the machine"
fi

echo "generic: the addresses of $(cat /etc/hostname) are"
ip -brief address show scope global
