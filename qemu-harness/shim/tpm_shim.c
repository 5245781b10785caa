// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Preloaded into swtpm: logs each command that the TPM executes, can delay each
 * one, and can hang once.
 *
 * IMA_SHIM_LOG       the file that gets a line for each command (required)
 * IMA_SHIM_DELAY_MS  how much longer each command takes, in milliseconds
 * IMA_SHIM_HANG_MS   how much longer the first TPM2_PCR_Read of PCR 10 takes if it is
 *                    not cancelled
 *
 * A line is
 *
 *	START END CODE RC [DETAIL]...
 *
 * START and END are nanoseconds of CLOCK_MONOTONIC, CODE and RC the command
 * code and the response code in hex. The details, for TPM 2.0:
 *
 *	TPM2_PCR_Read	select=ALG:BITMAP for each bank, in hex, bit 0 is PCR 0
 *	TPM2_PCR_Extend	pcr=N, digest=ALG:HEX for the first bank
 *	TPM2_GetRandom	bytes=N
 *
 * ALG is the TPM's number of the algorithm, in hex.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define HEADER_SIZE	10
#define ST_SESSIONS	0x8002
#define CC_GET_RANDOM	0x17b
#define CC_PCR_READ	0x17e
#define CC_PCR_EXTEND	0x182
#define LINE_SIZE	1024
#define IMA_PCR		10
#define MAX_FDS		64

/* As libtpms/tpm_library.h declares it */
typedef uint32_t process_fn(unsigned char **response, uint32_t *response_size,
			    uint32_t *response_room, unsigned char *command,
			    uint32_t command_size);

static int log_fd = -1;
static long delay_ms;
static int hang_ms;
static process_fn *real_process;

/* A big-endian command that is read from front to end; behind it are zeros. */
struct cursor {
	const unsigned char *at;
	const unsigned char *end;
};

static uint32_t take(struct cursor *c, unsigned int bytes)
{
	uint32_t value = 0;

	while (bytes--)
		value = value << 8 | (c->at < c->end ? *c->at++ : 0);
	return value;
}

struct line {
	char text[LINE_SIZE];
	size_t len;
};

static void __attribute__((format(printf, 2, 3)))
append(struct line *line, const char *format, ...)
{
	size_t room = sizeof(line->text) - 1 - line->len;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line->text + line->len, room, format, args);
	va_end(args);
	if (n > 0)
		line->len += (size_t)n < room ? (size_t)n : room - 1;
}

/* Returns the PCRs that the command selects in any bank. */
static uint32_t append_pcr_read(struct line *line, struct cursor *c)
{
	uint32_t banks = take(c, 4);
	uint32_t all = 0;

	for (uint32_t i = 0; i < banks && c->at < c->end; i++) {
		uint32_t alg = take(c, 2);
		uint32_t size = take(c, 1);
		uint32_t pcrs = 0;

		for (uint32_t octet = 0; octet < size && octet < 4; octet++)
			pcrs |= take(c, 1) << (8 * octet);
		append(line, " select=%x:%x", alg, pcrs);
		all |= pcrs;
	}
	return all;
}

static size_t digest_size(uint32_t alg)
{
	switch (alg) {
	case 0x4:
		return 20;
	case 0xb:
		return 32;
	case 0xc:
		return 48;
	case 0xd:
		return 64;
	default:
		return 0;
	}
}

static void append_pcr_extend(struct line *line, struct cursor *c, uint32_t tag)
{
	uint32_t pcr = take(c, 4);
	uint32_t alg;

	if (tag == ST_SESSIONS) {
		uint32_t authorization = take(c, 4);

		if (authorization > (size_t)(c->end - c->at))
			return;
		c->at += authorization;
	}
	append(line, " pcr=%" PRIu32, pcr);
	if (!take(c, 4))
		return;
	alg = take(c, 2);
	append(line, " digest=%x:", alg);
	for (size_t i = digest_size(alg); i; i--)
		append(line, "%02x", take(c, 1));
}

static uint32_t append_command(struct line *line, const unsigned char *command,
			       uint32_t size, uint32_t *read_pcrs)
{
	struct cursor c = { command, command + size };
	struct line details = { .len = 0 };
	uint32_t tag = take(&c, 2);
	uint32_t code;

	take(&c, 4);
	code = take(&c, 4);
	*read_pcrs = 0;
	if (code == CC_PCR_READ)
		*read_pcrs = append_pcr_read(&details, &c);
	else if (code == CC_PCR_EXTEND)
		append_pcr_extend(&details, &c, tag);
	else if (code == CC_GET_RANDOM)
		append(&details, " bytes=%" PRIu32, take(&c, 2));

	append(line, "%s", details.text);
	return code;
}

static uint32_t response_code(const unsigned char *response, uint32_t size)
{
	struct cursor c = { response, response + size };

	if (size < HEADER_SIZE)
		return UINT32_MAX;
	take(&c, 6);
	return take(&c, 4);
}

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void delay(void)
{
	struct timespec left = {
		.tv_sec = delay_ms / 1000,
		.tv_nsec = delay_ms % 1000 * 1000000,
	};

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
		;
}

/*
 * Until QEMU sends something to a socket of swtpm: that is the wish to cancel the
 * command. QEMU stops the guest until it is answered, so a hang that went on would
 * stop the guest's driver as well.
 */
static void hang(void)
{
	struct pollfd fds[MAX_FDS];
	struct stat st;

	for (int fd = 0; fd < MAX_FDS; fd++) {
		fds[fd].fd = !fstat(fd, &st) && S_ISSOCK(st.st_mode) ? fd : -1;
		fds[fd].events = POLLIN;
	}
	poll(fds, MAX_FDS, hang_ms);
	hang_ms = 0;
}

static void __attribute__((noreturn)) fail(const char *what)
{
	fprintf(stderr, "tpm_shim: %s\n", what);
	_exit(1);
}

static long milliseconds(const char *name)
{
	const char *text = getenv(name);
	char *end;
	long ms;

	if (!text)
		return 0;
	errno = 0;
	ms = strtol(text, &end, 10);
	if (errno || end == text || *end || ms < 0 || ms > INT_MAX) {
		fprintf(stderr, "tpm_shim: %s is not a number of milliseconds\n",
			name);
		_exit(1);
	}
	return ms;
}

/* Not in a constructor: swtpm's helper programs load the library, too. */
static void prepare(void)
{
	const char *name = getenv("IMA_SHIM_LOG");

	real_process = (process_fn *)dlsym(RTLD_NEXT, "TPMLIB_Process");
	if (!real_process)
		fail("no TPMLIB_Process in libtpms");
	if (!name)
		fail("IMA_SHIM_LOG is not set");
	log_fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (log_fd < 0)
		fail("IMA_SHIM_LOG cannot be opened");
	delay_ms = milliseconds("IMA_SHIM_DELAY_MS");
	hang_ms = milliseconds("IMA_SHIM_HANG_MS");
}

uint32_t TPMLIB_Process(unsigned char **response, uint32_t *response_size,
			uint32_t *response_room, unsigned char *command,
			uint32_t command_size)
{
	struct line details = { .len = 0 }, line = { .len = 0 };
	uint32_t code, result, read_pcrs;
	int64_t start;

	if (!real_process)
		prepare();

	/* Before the command is executed: that may change its buffer. */
	code = append_command(&details, command, command_size, &read_pcrs);
	start = now();
	if (delay_ms)
		delay();
	if (hang_ms && read_pcrs & 1u << IMA_PCR)
		hang();
	result = real_process(response, response_size, response_room, command,
			      command_size);

	append(&line, "%" PRId64 " %" PRId64 " %x %x%s", start, now(), code,
	       result ? UINT32_MAX : response_code(*response, *response_size),
	       details.text);
	line.text[line.len++] = '\n';
	if (write(log_fd, line.text, line.len) != (ssize_t)line.len)
		fail("IMA_SHIM_LOG cannot be written");
	return result;
}
