// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Preloaded into swtpm: a TPM that fails during a snapshot.
 *
 * IMA_FAULTS   what the TPM does (required):
 *
 *   pcrs16	has 16 PCRs, as TPM 1.1b may (for TPM 1.2)
 *   turn-KIND	what happens to the first, second, ... command: TPM2_GetRandom of one byte
 *		begins a turn, in the Nth of which command N behind it fails; that of
 *		two bytes ends it. A failure is reported on standard error. (for TPM 2.0)
 *
 *     error	it is not executed, and its answer is an error
 *     lost	it is executed, and its answer is an error
 *     short	it is executed, and its answer ends after a header of success
 *     retry	it is not executed, and is to be sent again
 *     hang	it is executed and answered after some seconds
 *
 *   FAULT,...	what happens to the extend of the first, second, ... aggregate
 *		(for TPM 2.0 with more than one bank):
 *
 *     executed	it is executed, but its answer is an error
 *     lost	it is not executed, and its answer is an error
 *     unread	as executed, and the read that follows fails, too
 *     slow	it takes a while, and is not executed if it is cancelled meanwhile
 *     garbled	the answer to the read before it is malformed
 *     late	the read before it is answered after some seconds
 *
 * The extend of an aggregate is the one right after the kernel has read PCR 10 of
 * several banks, and nothing else, in one command.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEADER_SIZE	10
#define TPM1_ORD_READ	0x15
#define TPM1_PCRS	16
#define TPM1_BADINDEX	2
#define CC_GET_RANDOM	0x17b
#define CC_PCR_READ	0x17e
#define CC_PCR_EXTEND	0x182
#define RC_FAILURE	0x101
#define RC_CANCELED	0x909
#define RC_RETRY	0x922
#define SLOW_US		500000
#define LATE_US		3000000
#define IMA_PCR		10
/* In an answer to TPM2_PCR_Read, after the counter, the count and an algorithm */
#define SELECT_SIZE_AT	(HEADER_SIZE + 4 + 4 + 2)

/* As libtpms/tpm_library.h declares it */
typedef uint32_t process_fn(unsigned char **response, uint32_t *response_size,
			    uint32_t *response_room, unsigned char *command,
			    uint32_t command_size);

static process_fn *real_process;
static const char *faults;
static volatile bool cancelled;

/* Replaces that of libtpms. swtpm calls it while another thread is in TPMLIB_Process(). */
uint32_t TPMLIB_CancelCommand(void)
{
	cancelled = true;
	return 0;
}

static void __attribute__((noreturn)) fail(const char *what)
{
	fprintf(stderr, "tpm_faults: %s\n", what);
	_exit(1);
}

/* Not in a constructor: swtpm's helper programs load the library, too. */
static void prepare(void)
{
	real_process = (process_fn *)dlsym(RTLD_NEXT, "TPMLIB_Process");
	if (!real_process)
		fail("no TPMLIB_Process in libtpms");
	faults = getenv("IMA_FAULTS");
	if (!faults)
		fail("IMA_FAULTS is not set");
}

/* Big-endian; bytes behind the end of the command are zero. */
static uint32_t get(const unsigned char *command, uint32_t size,
		    uint32_t offset, unsigned int bytes)
{
	uint32_t value = 0;

	while (bytes--) {
		value = value << 8 | (offset < size ? command[offset] : 0);
		offset++;
	}
	return value;
}

/* TPM2_PCR_Read of PCR 10 of several banks, and of nothing else. */
static bool reads_ima_pcr(const unsigned char *command, uint32_t size)
{
	uint32_t banks = get(command, size, HEADER_SIZE, 4);
	uint32_t offset = HEADER_SIZE + 4;

	if (get(command, size, 6, 4) != CC_PCR_READ || banks < 2)
		return false;
	for (; banks; banks--, offset += 6) {
		const uint32_t octet = 1u << (8 * (2 - IMA_PCR / 8));

		if (get(command, size, offset + 2, 1) != 3 ||
		    get(command, size, offset + 3, 3) !=
			    octet << IMA_PCR % 8)
			return false;
	}
	return true;
}

/* Whether the next fault on the list is this one; if so, remove it. */
static bool take_fault(const char *fault)
{
	size_t len = strlen(fault);

	if (strncmp(faults, fault, len) || (faults[len] && faults[len] != ','))
		return false;
	faults += len + (faults[len] == ',');
	return true;
}

/* The kind of failure that this command meets in its turn, or NULL */
static const char *failure_in_turn(uint32_t code, const unsigned char *command, uint32_t size)
{
	static unsigned int turn, left;
	const char *prefix = "turn-";

	if (strncmp(faults, prefix, strlen(prefix)))
		return NULL;
	if (code == CC_GET_RANDOM) {
		left = get(command, size, HEADER_SIZE, 2) == 1 ? ++turn : 0;
		return NULL;
	}
	if (!left || --left)
		return NULL;
	fprintf(stderr, "tpm_faults: turn %u: command %x\n", turn, code);
	return faults + strlen(prefix);
}

static void answer_error(unsigned char *response, uint32_t *size, uint32_t rc)
{
	response[0] = 0x80;	/* without sessions */
	response[1] = 0x01;
	response[2] = 0;
	response[3] = 0;
	response[4] = 0;
	response[5] = HEADER_SIZE;
	for (int i = 0; i < 4; i++)
		response[6 + i] = rc >> (8 * (3 - i));
	*size = HEADER_SIZE;
}

uint32_t TPMLIB_Process(unsigned char **response, uint32_t *response_size,
			uint32_t *response_room, unsigned char *command,
			uint32_t command_size)
{
	static bool after_ima_pcr, unread;
	uint32_t code = get(command, command_size, 6, 4);
	uint32_t error = 0, result;
	bool ima_pcr, no_payload = false;
	const char *kind;

	if (!real_process)
		prepare();

	ima_pcr = reads_ima_pcr(command, command_size);
	kind = failure_in_turn(code, command, command_size);
	if (kind) {
		if (!strcmp(kind, "error") || !strcmp(kind, "retry"))
			memset(command + 6, 0, 4);
		if (!strcmp(kind, "error") || !strcmp(kind, "lost"))
			error = RC_FAILURE;
		else if (!strcmp(kind, "retry"))
			error = RC_RETRY;
		else if (!strcmp(kind, "short"))
			no_payload = true;
		else if (!strcmp(kind, "hang"))
			usleep(LATE_US);
		else
			fail("IMA_FAULTS names no kind of failure");
	} else if (!strncmp(faults, "turn-", 5)) {
		/* Not in this turn, or not this command */
	} else if (!strcmp(faults, "pcrs16")) {
		if (code == TPM1_ORD_READ &&
		    get(command, command_size, HEADER_SIZE, 4) >= TPM1_PCRS)
			error = TPM1_BADINDEX;
	} else if (code == CC_PCR_EXTEND && after_ima_pcr && take_fault("slow")) {
		cancelled = false;
		usleep(SLOW_US);
		if (cancelled) {
			error = RC_CANCELED;
			memset(command + 6, 0, 4);
		}
	} else if (ima_pcr && take_fault("late")) {
		usleep(LATE_US);
	} else if (code == CC_PCR_EXTEND && after_ima_pcr && *faults) {
		error = RC_FAILURE;
		if (take_fault("lost"))
			memset(command + 6, 0, 4);
		else if (take_fault("unread"))
			unread = true;
		else if (!take_fault("executed"))
			fail("IMA_FAULTS names no fault");
	} else if (code == CC_PCR_READ && unread) {
		error = RC_FAILURE;
		unread = false;
	}
	after_ima_pcr = ima_pcr;

	result = real_process(response, response_size, response_room, command,
			      command_size);
	if (!result && (error || no_payload)) {
		if (*response_size < HEADER_SIZE)
			fail("an answer is too short");
		answer_error(*response, response_size, error);
	}
	/* A selection that is larger than any TPM's. */
	if (!result && ima_pcr && take_fault("garbled"))
		(*response)[SELECT_SIZE_AT] = 0xff;
	return result;
}
