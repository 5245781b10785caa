#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Quotes before and after snapshots, by ima-snapshot and by tpm2-tools, verified
# by both. A second run on the same disk and TPM verifies quotes of the boot before.
set -eu
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "${0%/*}/lib.sh"

nonce=00112233445566778899aabbccddeeff
quotes=/disk/quotes

# quote NAME AK: into a directory of its own.
quote() {
	run "quote.$1" ima-snapshot quote --nonce "$nonce" --ak "$2" --out "$quotes/$1"
}

# check NAME AK_FILE QUOTE [OPTION...]
check() {
	check_name=$1 check_ak=$2 check_quote=$3
	shift 3
	run "$check_name" ima-snapshot verify --json --quote "$quotes/$check_quote/quote.msg" \
		--sig "$quotes/$check_quote/quote.sig" --ak "$check_ak" --nonce "$nonce" "$@"
}

# referee NAME AK_FILE NONCE QUOTE
referee() {
	run "$1" tpm2_checkquote -u "$2" -q "$3" -g sha256 -m "$quotes/$4/quote.msg" \
		-s "$quotes/$4/quote.sig" -f "$quotes/$4/quote.pcrs"
}

first_boot() {
	run ak.rsa ima-snapshot ak create --alg rsa --name rsa --json
	run ak.ecc ima-snapshot ak create --alg ecc --name ecc --json
	run ak.again ima-snapshot ak create --alg ecc --name ecc --json
	quote before rsa
	referee referee.before "$store/ak/rsa.pem" "$nonce" before
	referee referee.nonce "$store/ak/rsa.pem" 00 before
	run take1 ima-snapshot take --json
	measure between 1 20
	quote after ecc
	referee referee.after "$store/ak/ecc.pub" "$nonce" after
	check after "$store/ak/ecc.pub" after
	check after.pcrs "$store/ak/ecc.pem" after --pcrs "$quotes/after/quote.pcrs.txt"

	# A quote by tpm2-tools.
	mkdir -p "$quotes/theirs"
	cd /tmp
	tpm2_createek -G rsa -c ek.ctx -u ek.pub
	tpm2_createak -C ek.ctx -c ak.ctx -G ecc -g sha256 -s ecdsa -u theirs.pub -n theirs.name
	tpm2_quote -c ak.ctx -l sha1:10+sha256:10 -q "$nonce" -g sha256 -m "$quotes/theirs/quote.msg" \
		-s "$quotes/theirs/quote.sig" -o "$quotes/theirs/quote.pcrs"
	check theirs /tmp/theirs.pub theirs
	referee referee.theirs /tmp/theirs.pub "$nonce" theirs

	measure later 1 20
	run take2 ima-snapshot take --json
	check before "$store/ak/rsa.pub" before
	check before.pcrs "$store/ak/rsa.pub" before --pcrs "$quotes/before/quote.pcrs.txt"
	check wrong-ak "$store/ak/ecc.pub" before
	nonce=aa
	check wrong-nonce "$store/ak/rsa.pub" before
	gather
	ls -l "$store/ak" >/out/ak.list
}

second_boot() {
	check replayed "$store/ak/rsa.pub" before
	check replayed.ignored "$store/ak/rsa.pub" before --ignore-reset-count
	run take3 ima-snapshot take --json
	check replayed.stored "$store/ak/rsa.pub" before
	quote now rsa
	check now "$store/ak/rsa.pub" now
	gather
}

configure /disk/store
prepare_load
# The same records in both boots.
measure same 1 20
if [ -d "$quotes" ]; then
	second_boot
else
	mkdir "$quotes"
	first_boot
fi
