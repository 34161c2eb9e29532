#!/bin/bash
# The plain pipeline that rvmb is measured against: mmdebstrap into a directory, a few lines of
# configuration, mke2fs -d into the partition's place, GRUB's boot code by hand, qemu-img convert.
#
#     bench/peer-mmdebstrap.sh DIR SUITE PROXY PACKAGE,PACKAGE… SOURCE…
#
# A source is a line of sources.list(5). Makes DIR/disk.qcow2. Needs root.
set -euo pipefail
directory=$1 suite=$2 proxy=$3 packages=$4
shift 4
here=$(cd "$(dirname "$0")" && pwd)
export http_proxy=$proxy LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 022

disk=$((4 * 1024 * 1024 * 1024))   # bytes
start=$((1024 * 1024))             # where the root partition begins

mkdir -p "$directory"
rm -rf "$directory/tree" "$directory"/disk.*
tree=$directory/tree

mmdebstrap --mode=root --variant=minbase --include="$packages" \
    --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr --dpkgopt=force-unsafe-io \
    "$suite" "$tree" "$@"

echo vm >"$tree/etc/hostname"
printf '127.0.0.1\tlocalhost\n127.0.1.1\tvm\n' >"$tree/etc/hosts"
printf 'LABEL=root / ext4 errors=remount-ro 0 1\n' >"$tree/etc/fstab"
mkdir -p "$tree/etc/systemd/network"
printf '[Match]\nName=en* eth*\n\n[Network]\nDHCP=yes\n' >"$tree/etc/systemd/network/80-dhcp.network"
chroot "$tree" systemctl --quiet enable systemd-networkd.service
chroot "$tree" useradd --create-home --shell /bin/bash --groups sudo bob
echo bob:bob | chroot "$tree" chpasswd

kernel=$(cd "$tree/boot" && ls vmlinuz-*)
mkdir -p "$tree/boot/grub"
cat >"$tree/boot/grub/grub.cfg" <<END
set timeout=0
linux /boot/$kernel root=LABEL=root ro console=ttyS0,115200
initrd /boot/initrd.img-${kernel#vmlinuz-}
boot
END

truncate -s "$disk" "$directory/disk.raw"
printf 'label: dos\nstart=%s, type=83, bootable\n' $((start / 512)) | sfdisk -q "$directory/disk.raw"
mke2fs -q -F -t ext4 -L root -d "$tree" -E "offset=$start,lazy_itable_init=1,lazy_journal_init=1" \
    "$directory/disk.raw" $(((disk - start) / 1024))k

chroot "$tree" grub-mkimage -O i386-pc -o /tmp/core.img -p '(hd0,msdos1)/boot/grub' \
    biosdisk part_msdos ext2 normal configfile linux boot
"$here/embed-grub.py" "$tree/usr/lib/grub/i386-pc/boot.img" "$tree/tmp/core.img" "$directory/disk.raw"
qemu-img convert -O qcow2 "$directory/disk.raw" "$directory/disk.qcow2"
rm -rf "$tree" "$directory/disk.raw"
