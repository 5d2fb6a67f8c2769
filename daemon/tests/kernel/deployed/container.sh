# Runs the daemon as the DaemonSet's container: its own root, read-only; /proc of the host (hostPID), a fresh /sys, the
# host's cgroups read-only, one folder that may be written to; root's user id, and no capability but those given.
# To be run in a mount namespace of its own. Arguments: new root, program, folder for the state, capabilities as
# setpriv wants them, then the program's own.
set -eu
root=$1 program=$2 state=$3 capabilities=$4
shift 4

mount -t tmpfs -o mode=755 tmpfs "$root"
cd "$root"
mkdir -p usr proc sys dev ".$state"
for link in bin sbin lib lib64; do
    if [ -L "/$link" ]; then
        ln -s "$(readlink "/$link")" "$link"
    elif [ -d "/$link" ]; then
        mkdir "$link"
        mount --bind "/$link" "$link"
        mount -o remount,bind,ro "$link"
    fi
done
mount --bind /usr usr
mount -o remount,bind,ro usr
touch finwatch dev/null
mount --bind "$program" finwatch
mount -o remount,bind,ro finwatch
mount --bind /dev/null dev/null
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount --rbind /sys/fs/cgroup sys/fs/cgroup
awk -v below="$root/sys/fs/cgroup" 'index($2, below) == 1 { print $2 }' /proc/self/mounts | while read -r point; do
    mount -o remount,bind,ro "$point"
done
mount -t tmpfs -o mode=755 tmpfs ".$state"
mount -o remount,ro "$root"
exec env -i PATH=/usr/sbin:/usr/bin chroot "$root" /usr/bin/setpriv --no-new-privs --inh-caps=-all "--bounding-set=-all,$capabilities" \
    /finwatch "$@"
