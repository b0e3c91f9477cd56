# What every script does with its arguments: `--help` is the script's own header, and what it does not know it
# refuses before it does anything.
#
#   take "--demo --pipeline= 2" "$@"
#
# `--pipeline=` has a value behind it or behind `=`; a number says how many other arguments there may be (else none);
# `--*.*=` is a pattern. Exit code 2 with one line.

refuse() { printf '%s: %s (script/%s --help tells what it takes)\n' "${0##*/}" "$1" "${0##*/}" >&2; exit 2; }

# The comment at the head of the script.
header() { sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0"; }

takes() {
    local one
    for one in $known; do
        # shellcheck disable=SC2053  # a pattern
        [[ $1 != $one ]] || return 0
    done
    return 1
}

take() {
    local known=$1 places=0 word
    shift
    for word in "$@"; do
        case $word in -h | --help) header; exit 0 ;; esac
    done
    for word in $known; do
        case $word in [0-9]*) places=$word ;; esac
    done
    while [ $# -gt 0 ]; do
        if [[ $1 == --*=* ]] && takes "${1%%=*}="; then
            :
        elif [[ $1 == --* ]] && takes "$1="; then
            [ $# -gt 1 ] || refuse "$1 needs a value"
            shift
        elif [[ $1 == -* ]]; then
            takes "$1" || refuse "there is no option $1"
        else
            places=$((places - 1))
            [ "$places" -ge 0 ] || refuse "'$1' is one too many"
        fi
        shift
    done
}
