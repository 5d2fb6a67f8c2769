# Sourced by every start script: where the server keeps its files, and a certificate for those that want one.
# The servers listen on 127.0.0.1:8080 (and :8443 with TLS), so two of them want two network namespaces.
set -eu
lab=$(cd "$(dirname "$0")/.." && pwd)
here=$(cd "$(dirname "$0")" && pwd)
folder=${FINWATCH_LAB_FOLDER:-/tmp/finwatch-lab-$(basename "$here")}
mkdir -p "$folder"
cd "$folder"

certificate() {
    [ -s cert.pem ] && return
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
        -keyout key.pem -out cert.pem 2>/dev/null
    # Some servers want both in one file.
    cat cert.pem key.pem >both.pem
}

# Sets $built, the folder of what a server's build makes, and is true when it was made of just these sources.
is_built_of() {
    built=${FINWATCH_LAB_BUILD:-$folder}/$(basename "$here")
    sources=$(cat "$@" | sha256sum)
    [ "$(cat "$built/sources" 2>/dev/null)" = "$sources" ]
}

# What was made in $built.new is whole, and takes its place.
is_whole() {
    echo "$sources" >"$built.new/sources"
    rm -rf "$built"
    mv "$built.new" "$built"
}
