#!/bin/sh
# Makes what the tests need of other people's clients, each with exactly the versions that its files name: Python environments,
# packages of npm and the Java programs, in folders that git ignores. Does nothing when all of it is there and fits the
# files it was made from.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
venv="$here/../.venv"
cache="$here/../.cache"
mkdir -p "$venv" "$cache"

# fits STAMP FILE...: whether the stamp holds the hash of the files.
fits() {
    stamp=$1
    shift
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(cat "$@" | sha256sum)" ]
}

# environment NAME FILE: a Python environment with the packages that the file names.
environment() {
    if fits "$venv/$1/stamp" "$2"; then
        return
    fi
    rm -rf "${venv:?}/$1"
    python3 -m venv "$venv/$1"
    "$venv/$1/bin/pip" install --quiet --disable-pip-version-check -r "$2"
    cat "$2" | sha256sum > "$venv/$1/stamp"
}

java_program() {
    sources="$here/java-v1/pom.xml $here/java-v1/src/main/java/cloudhold/RoundTrip.java"
    # shellcheck disable=SC2086 # The words are two files.
    if fits "$cache/java-v1.stamp" $sources; then
        return
    fi
    (cd "$here/java-v1" && mvn -B -q package)
    # shellcheck disable=SC2086
    cat $sources | sha256sum > "$cache/java-v1.stamp"
}

# The packages of the lock file; none of them needs a script of its own to be installed.
javascript_packages() {
    target="$cache/javascript"
    if fits "$target/stamp" "$here/javascript/package.json" "$here/javascript/package-lock.json"; then
        return
    fi
    rm -rf "$target"
    mkdir -p "$target"
    cp "$here/javascript/package.json" "$here/javascript/package-lock.json" "$target"
    (cd "$target" && npm ci --silent --ignore-scripts --no-audit --no-fund --no-update-notifier)
    cat "$target/package.json" "$target/package-lock.json" | sha256sum > "$target/stamp"
}

environment current "$here/requirements.txt"
environment old "$here/requirements-old.txt"
java_program
javascript_packages
