// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * read_list [-w|-p] LABEL FILE TIMES: open a binary measurement list and read it
 * to its end, TIMES times, and print how long each time took.
 *
 * With -w, open it for writing, too, as the snapshot file requires. With -p, also
 * write to it after the last time, so that a snapshot purges its records.
 */

#include <sys/mman.h>

#include "bench.h"

#define ROOM		((size_t)256 << 20)
#define READ_SIZE	65536

static unsigned char *room;

static uint32_t u32(size_t at, size_t size)
{
	uint32_t value;

	if (at + sizeof(value) > size)
		errx(1, "the list ends within a record");
	memcpy(&value, room + at, sizeof(value));
	return value;
}

/* PCR, SHA-1, length and name of the template, length and template data */
static unsigned long count_records(size_t size)
{
	unsigned long records = 0;
	size_t at = 0;

	while (at < size) {
		at += 4 + 20;
		at += 4 + (size_t)u32(at, size);
		at += 4 + (size_t)u32(at, size);
		if (at > size)
			errx(1, "the list ends within a record");
		records++;
	}
	return records;
}

int main(int argc, char **argv)
{
	unsigned long times;
	int purge, writable;

	purge = argc == 5 && !strcmp(argv[1], "-p");
	writable = purge || (argc == 5 && !strcmp(argv[1], "-w"));
	if (argc != 4 + writable)
		errx(2, "usage: read_list [-w|-p] LABEL FILE TIMES");
	argv += writable;
	times = number(argv[3]);

	/* Populated now, so that the times have no page faults of this program. */
	room = mmap(NULL, ROOM, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (room == MAP_FAILED)
		err(1, "mmap");

	for (unsigned long i = 0; i < times; i++) {
		int64_t start, opened, end, written = 0, closed;
		unsigned long reads = 0;
		size_t size = 0;
		ssize_t n;
		int fd;

		start = now_ns();
		fd = open(argv[2], (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
		if (fd < 0)
			err(1, "%s", argv[2]);
		opened = now_ns();
		do {
			if (size + READ_SIZE > ROOM)
				errx(1, "%s has more than %zu bytes", argv[2], ROOM);
			n = read(fd, room + size, READ_SIZE);
			if (n < 0)
				err(1, "%s", argv[2]);
			size += n;
			reads++;
		} while (n);
		end = now_ns();

		if (purge && i + 1 == times) {
			if (write(fd, "1", 1) != 1)
				err(1, "writing %s", argv[2]);
			written = now_ns() - end;
		}
		closed = now_ns();
		if (close(fd))
			err(1, "closing %s", argv[2]);
		closed = now_ns() - closed;

		printf("{\"what\":\"read\",\"label\":\"%s\",\"records\":%lu,\"bytes\":%zu,\"reads\":%lu,"
		       "\"open_ns\":%" PRId64 ",\"ns\":%" PRId64 ","
		       "\"purge_ns\":%" PRId64 ",\"close_ns\":%" PRId64 "}\n",
		       argv[1], count_records(size), size, reads, opened - start, end - start, written, closed);
	}
	return 0;
}
