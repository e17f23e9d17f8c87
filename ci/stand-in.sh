#!/bin/sh
# Stands in for a program in the tests of `cargo xtask`, under its name: writes down how it was called, and then does what
# the file beside it says. It lies in the repository, since a script that a test writes may still be open for writing where
# another test forks.
echo "${0##*/} $*" >> "${0%/*}/calls"
. "$0.does"
