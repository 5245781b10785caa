// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * hash_list LABEL FILE TIMES: read a measurement list and let the kernel compute
 * its SHA-256, TIMES times, with the same code that hashes the records of a snapshot.
 * Print how long each time took.
 */

#include <linux/if_alg.h>
#include <sys/socket.h>

#include "bench.h"

#define ROOM		((size_t)64 << 20)
#define CHUNK		65536

static unsigned char room[ROOM];

static size_t read_list(const char *name)
{
	size_t size = 0;
	ssize_t n;
	int fd;

	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		err(1, "%s", name);
	while ((n = read(fd, room + size, ROOM - size)) > 0)
		size += n;
	if (n < 0 || size == ROOM || close(fd))
		err(1, "reading %s", name);
	return size;
}

static int sha256_socket(void)
{
	const struct sockaddr_alg sha256 = {
		.salg_family = AF_ALG,
		.salg_type = "hash",
		.salg_name = "sha256",
	};
	int fd, hash;

	fd = socket(AF_ALG, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (const void *)&sha256, sizeof(sha256)))
		err(1, "AF_ALG sha256");
	hash = accept(fd, NULL, NULL);
	if (hash < 0 || close(fd))
		err(1, "AF_ALG sha256");
	return hash;
}

static void hash_room(int fd, size_t size)
{
	unsigned char digest[32];
	size_t done = 0;
	ssize_t n;

	while (done < size) {
		n = send(fd, room + done, size - done < CHUNK ? size - done : CHUNK,
			 MSG_MORE);
		if (n < 0)
			err(1, "hashing");
		done += n;
	}
	if (read(fd, digest, sizeof(digest)) != sizeof(digest))
		err(1, "hashing");
}

int main(int argc, char **argv)
{
	unsigned long times;
	size_t size;
	int fd;

	if (argc != 4)
		errx(2, "usage: hash_list LABEL FILE TIMES");
	times = number(argv[3]);
	size = read_list(argv[2]);
	fd = sha256_socket();
	while (times--) {
		int64_t start = now_ns();

		hash_room(fd, size);
		printf("{\"what\":\"hash\",\"label\":\"%s\",\"bytes\":%zu,\"ns\":%" PRId64 "}\n",
		       argv[1], size, now_ns() - start);
	}
	return 0;
}
