#!/bin/sh
# make_venv.sh FOLDER [PYTHON]: make a virtual environment with PYTHON, or with the first Python that can.
# Fails with one sentence that says what to install.

folder=$1
asked=${2:-}

new_enough='import sys; sys.exit(sys.version_info < (3, 11))'
can_make='import ensurepip, venv'
version='import sys; print("%d.%d" % sys.version_info[:2])'

unable=
old=
for python in ${asked:-python3.14 python3.13 python3.12 python3.11 python3}; do
    # A name may be there and not run: a shim of a version that is not installed.
    found=$("$python" -c "$version" 2>/dev/null) || continue
    if ! "$python" -c "$new_enough"; then
        old="$python is $found"
    elif ! "$python" -c "$can_make" 2>/dev/null; then
        unable=${unable:-$python is Python $found, which lacks ensurepip and so cannot make a virtual environment: install it (Debian, Ubuntu: apt install python$found-venv), or name another Python: make PYTHON=/path/to/python3}
    else
        echo "Making $folder with $python (Python $found)."
        exec "$python" -m venv --clear "$folder"
    fi
done

if [ -n "$unable" ]; then
    echo "$unable." >&2
else
    echo "ptxbench needs Python 3.11 or newer, and ${old:-${asked:-python3} is not there}: install one (Debian, Ubuntu: apt install python3 python3-venv), or name it: make PYTHON=/path/to/python3." >&2
fi
exit 1
