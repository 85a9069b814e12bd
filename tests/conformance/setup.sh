#!/bin/sh
# Makes what the tests need of other people's clients, each with exactly the versions that its files name: Python environments,
# packages of npm, and programs in Java, Go and Rust, in folders that git ignores. Does nothing when all of it is there and fits
# the files it was made from.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
venv="$here/../.venv"
cache="$here/../.cache"
mkdir -p "$venv" "$cache"

# hash PATH...: of all files there.
hash() {
    find "$@" -type f | LC_ALL=C sort | tr '\n' '\0' | xargs -0 cat | sha256sum
}

# fits STAMP PATH...: whether the stamp holds the hash of the files.
fits() {
    stamp=$1
    shift
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(hash "$@")" ]
}

# environment NAME FILE [OPTION]: a Python environment with the packages that the file names.
environment() {
    if fits "$venv/$1/stamp" "$2"; then
        return
    fi
    rm -rf "${venv:?}/$1"
    python3 -m venv "$venv/$1"
    "$venv/$1/bin/pip" install --quiet --disable-pip-version-check ${3:+"$3"} -r "$2"
    hash "$2" > "$venv/$1/stamp"
}

# java_program NAME: a project of Maven, which puts classes and libraries into its folder of the cache.
java_program() {
    if fits "$cache/$1.stamp" "$here/$1"; then
        return
    fi
    (cd "$here/$1" && mvn -B -q package)
    hash "$here/$1" > "$cache/$1.stamp"
}

# The packages of the lock file; none of them needs a script of its own to be installed.
javascript_packages() {
    target="$cache/javascript"
    lock="$here/javascript/package-lock.json"
    if fits "$target/stamp" "$lock"; then
        return
    fi
    rm -rf "$target"
    mkdir -p "$target"
    cp "$here/javascript/package.json" "$lock" "$target"
    (cd "$target" && npm ci --silent --ignore-scripts --no-audit --no-fund --no-update-notifier)
    hash "$lock" > "$target/stamp"
}

# go.mod names the version of Go that the modules need; another one than the machine's is not fetched.
go_program() {
    if fits "$cache/go.stamp" "$here/go"; then
        return
    fi
    (cd "$here/go" && GOTOOLCHAIN=local go build -buildvcs=false -o "$cache/go-clients" .)
    hash "$here/go" > "$cache/go.stamp"
}

# cargo_program NAME VERSION: a program of a package, with the versions of its own lock file.
cargo_program() {
    if [ "$(cat "$cache/$1.stamp" 2> /dev/null)" = "$2" ]; then
        return
    fi
    CARGO_PROFILE_DEV_DEBUG=false CARGO_INCREMENTAL=0 cargo install --quiet --debug --locked --root "$cache/$1" "$1@$2"
    echo "$2" > "$cache/$1.stamp"
}

environment current "$here/requirements.txt"
environment old "$here/requirements-old.txt"
environment tools "$here/requirements-tools.txt" --no-deps
java_program java-v1
java_program java-v2
javascript_packages
go_program
cargo_program s3s-e2e 0.14.1
