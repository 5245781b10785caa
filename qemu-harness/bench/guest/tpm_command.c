// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tpm_command mark N               send TPM2_GetRandom of N bytes, which marks
 *                                  a place in a log of all commands
 * tpm_command read BANKS TIMES     time TPM2_PCR_Read of PCR 10
 * tpm_command extend BANKS TIMES   time TPM2_PCR_Extend of PCR 23
 * tpm_command loop                 send TPM2_GetRandom to the resource manager,
 *                                  one after the other, until it is killed
 *
 * BANKS is a list of bank names, for example sha1,sha256. The kernel sends the same
 * commands for IMA, through the same functions.
 */

#include <stdbool.h>

#include "bench.h"

#define DEVICE		"/dev/tpm0"
#define MANAGED_DEVICE	"/dev/tpmrm0"
#define ST_NO_SESSIONS	0x8001
#define ST_SESSIONS	0x8002
#define CC_GET_RANDOM	0x17b
#define CC_PCR_READ	0x17e
#define CC_PCR_EXTEND	0x182
#define RS_PW		0x40000009
#define LOOP_BYTES	16
#define IMA_PCR		10
#define FREE_PCR	23
#define HEADER_SIZE	10

static const struct bank {
	const char *name;
	uint16_t alg;
	unsigned int size;
} known_banks[] = {
	{ "sha1", 0x4, 20 },
	{ "sha256", 0xb, 32 },
	{ "sha384", 0xc, 48 },
	{ "sha512", 0xd, 64 },
};

#define KNOWN_BANKS	(sizeof(known_banks) / sizeof(known_banks[0]))

struct command {
	unsigned char bytes[512];
	unsigned int size;
};

static void put(struct command *c, uint32_t value, unsigned int bytes)
{
	while (bytes--)
		c->bytes[c->size++] = value >> (8 * bytes);
}

static void begin(struct command *c, uint16_t tag, uint32_t code)
{
	c->size = 0;
	put(c, tag, 2);
	put(c, 0, 4);
	put(c, code, 4);
}

static void end(struct command *c)
{
	unsigned int size = c->size;

	c->size = 2;
	put(c, size, 4);
	c->size = size;
}

static unsigned int parse_banks(const char *text, struct bank *banks)
{
	char copy[128], *rest = copy, *name;
	unsigned int n = 0;

	if (snprintf(copy, sizeof(copy), "%s", text) >= (int)sizeof(copy))
		errx(2, "too many banks");
	while ((name = strsep(&rest, ","))) {
		size_t i = 0;

		while (i < KNOWN_BANKS && strcmp(known_banks[i].name, name))
			i++;
		if (i == KNOWN_BANKS || n == KNOWN_BANKS)
			errx(2, "no bank '%s'", name);
		banks[n++] = known_banks[i];
	}
	return n;
}

static void make_read(struct command *c, const struct bank *banks,
		      unsigned int n)
{
	begin(c, ST_NO_SESSIONS, CC_PCR_READ);
	put(c, n, 4);
	for (unsigned int i = 0; i < n; i++) {
		put(c, banks[i].alg, 2);
		put(c, 3, 1);
		for (unsigned int octet = 0; octet < 3; octet++)
			put(c, (1u << IMA_PCR) >> (8 * octet) & 0xff, 1);
	}
	end(c);
}

static void make_extend(struct command *c, const struct bank *banks,
			unsigned int n)
{
	begin(c, ST_SESSIONS, CC_PCR_EXTEND);
	put(c, FREE_PCR, 4);
	put(c, 9, 4);		/* the empty password, as the kernel sends it */
	put(c, RS_PW, 4);
	put(c, 0, 2);
	put(c, 0, 1);
	put(c, 0, 2);
	put(c, n, 4);
	for (unsigned int i = 0; i < n; i++) {
		put(c, banks[i].alg, 2);
		for (unsigned int octet = 0; octet < banks[i].size; octet++)
			put(c, 0x5a, 1);
	}
	end(c);
}

static void make_random(struct command *c, unsigned int bytes)
{
	begin(c, ST_NO_SESSIONS, CC_GET_RANDOM);
	put(c, bytes, 2);
	end(c);
}

static int64_t execute(int fd, const struct command *c)
{
	unsigned char response[4096];
	int64_t start, took;
	ssize_t size;

	start = now_ns();
	if (write(fd, c->bytes, c->size) != (ssize_t)c->size)
		err(1, "writing to the TPM");
	size = read(fd, response, sizeof(response));
	took = now_ns() - start;
	if (size < HEADER_SIZE)
		err(1, "reading from the TPM");
	if (response[6] | response[7] | response[8] | response[9])
		errx(1, "the TPM answers %02x%02x%02x%02x", response[6],
		     response[7], response[8], response[9]);
	return took;
}

int main(int argc, char **argv)
{
	const char *device;
	struct bank banks[KNOWN_BANKS];
	unsigned long times = 1;
	bool loop = false;
	struct command c;
	unsigned int n;
	int fd;

	if (argc == 3 && !strcmp(argv[1], "mark")) {
		make_random(&c, number(argv[2]));
	} else if (argc == 2 && !strcmp(argv[1], "loop")) {
		make_random(&c, LOOP_BYTES);
		loop = true;
	} else if (argc == 4 && !strcmp(argv[1], "read")) {
		n = parse_banks(argv[2], banks);
		make_read(&c, banks, n);
		times = number(argv[3]);
	} else if (argc == 4 && !strcmp(argv[1], "extend")) {
		n = parse_banks(argv[2], banks);
		make_extend(&c, banks, n);
		times = number(argv[3]);
	} else {
		errx(2, "usage: tpm_command mark N | {read|extend} BANKS TIMES | loop");
	}

	device = loop ? MANAGED_DEVICE : DEVICE;
	fd = open(device, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		err(1, "%s", device);
	while (loop)
		execute(fd, &c);
	while (times--) {
		int64_t took = execute(fd, &c);

		if (strcmp(argv[1], "mark"))
			printf("{\"what\":\"command\",\"command\":\"%s\","
			       "\"ns\":%" PRId64 "}\n", argv[1], took);
	}
	return 0;
}
