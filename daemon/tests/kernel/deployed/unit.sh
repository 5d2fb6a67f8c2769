# Runs the daemon as the systemd unit does: the host's files, read-only; one folder that may be written to, which is the
# user's; a user id of nobody's, and ambient capabilities. To be run in a mount namespace of its own. Arguments: a
# folder that is free, program, folder for the state, capabilities as setpriv wants them, then the program's own.
set -eu
folder=$1 program=$2 state=$3 capabilities=$4 user=61184
shift 4

# The user must get at the program, wherever it was built.
mount -t tmpfs -o mode=755 tmpfs "$folder"
touch "$folder/finwatch"
mount --bind "$program" "$folder/finwatch"
mount -t tmpfs -o "mode=750,uid=$user,gid=$user" tmpfs "$state"
# ProtectSystem=strict: everything but /dev, /proc and /sys.
awk '{ print $2 }' /proc/self/mounts | grep -vE '^/(dev|proc|sys)(/|$)' | grep -vxF "$state" | sort -u | while read -r point; do
    mount -o remount,bind,ro "$point"
done
exec env -i STATE_DIRECTORY="$state" NOTIFY_SOCKET="${NOTIFY_SOCKET-}" /usr/bin/setpriv --no-new-privs \
    --reuid "$user" --regid "$user" --clear-groups "--inh-caps=-all,$capabilities" \
    "--ambient-caps=-all,$capabilities" "--bounding-set=-all,$capabilities" "$folder/finwatch" "$@"
