# Sourced by ./taskmill and scripts/test: prepare_environment ROOT FOLDER LOCK makes ROOT/FOLDER hold
# exactly what ROOT/requirements/LOCK.txt names. When it does already, this takes a few milliseconds and
# prints nothing; the work itself is done by make_environment.py. POSIX sh; honours TASKMILL_PYTHON.

prepare_environment() {
    wanted_python=${TASKMILL_PYTHON:-}
    unset TASKMILL_PYTHON # the program refuses TASKMILL_ names that are not its settings
    environment_is_fresh "$1/$2" "$1/requirements/$3.txt" && return
    find_python || exit 1
    (
        unset PYTHONPATH PYTHONHOME
        exec "$python" -I "$1/scripts/make_environment.py" "$1/$2" "$1/requirements/$3.txt" "$wanted_python"
    ) || exit 1
}

# The stamp is written last, so a half-made environment is never fresh.
environment_is_fresh() {
    [ -x "$1/bin/python" ] && [ -r "$1/.complete" ] || return 1
    {
        read -r made_from && read -r made_by && read -r made_for || return 1
    } <"$1/.complete"
    ! has_copy "$1" && [ "$made_from" = "$(cksum <"$2")" ] &&
        [ "$made_by" = "$(readlink -f "$1/bin/python")" ] &&
        { [ -z "$wanted_python" ] || [ "$made_for" = "wanted: $wanted_python" ]; }
}

# Whether the package is installed there, which hides the source: `git pull` would change nothing.
has_copy() {
    for copy in "$1"/lib/python3*/site-packages/taskmill; do
        [ -d "$copy" ] && return
    done
    return 1
}

# Sets $python to a Python that is new enough, or prints what to do.
find_python() {
    if [ -n "$wanted_python" ]; then
        python=$wanted_python
        is_new_enough "$python" && return
        echo "taskmill: TASKMILL_PYTHON is '$python', which is not a Python 3.11 or newer." >&2
        return 1
    fi
    for python in python3 python3.14 python3.13 python3.12 python3.11 \
        /usr/bin/python3 /usr/local/bin/python3 /opt/homebrew/bin/python3; do
        is_new_enough "$python" && return
    done
    python=$(UV_PYTHON_DOWNLOADS=never uv python find --no-project '>=3.11' 2>/dev/null) &&
        is_new_enough "$python" && return
    echo "taskmill: needs Python 3.11 or newer, and found none (python3 is: $(python3 --version 2>&1))." >&2
    echo "taskmill: install one (Debian: apt-get install python3; without root, by uv: uv python install 3.13)," \
        "or name it in TASKMILL_PYTHON." >&2
    return 1
}

is_new_enough() {
    [ "$("$1" -c 'import sys; print(sys.version_info >= (3, 11))' 2>/dev/null)" = True ]
}
