// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * remove_list {snapshot|staging}: export all records and remove them from memory, while
 * another process measures files. Before that, it measures for PAUSE_NS alone.
 *
 * Prints, in nanoseconds of one clock, when each phase began and ended, and each
 * open() of a measured file:
 *
 *	{"what":"phase","name":"alone|open|export|remove","start":S,"end":E}
 *	{"what":"record","by":1,"start":S,"end":E}
 *
 * For staging, open is the open() and the request to stage.
 */

#include "measurer.h"

#define ROOM		((size_t)256 << 20)
#define READ_SIZE	65536
#define PAUSE_NS	INT64_C(1000000000)

static void print_phase(const char *name, int64_t start, int64_t end)
{
	printf("{\"what\":\"phase\",\"name\":\"%s\",\"start\":%" PRId64
	       ",\"end\":%" PRId64 "}\n", name, start, end);
}

static void request(int fd, const char *text)
{
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		err(1, "request");
}

int main(int argc, char **argv)
{
	bool staging = argc == 2 && !strcmp(argv[1], "staging");
	int64_t began, opening, opened, exported, removed;
	const char *path = IMA_DIR "snapshot";
	struct measurer *m;
	size_t size = 0;
	char *room;
	ssize_t n;
	int fd;

	if (argc != 2 || (!staging && strcmp(argv[1], "snapshot")))
		errx(2, "usage: remove_list {snapshot|staging}");
	if (staging)
		path = IMA_DIR "binary_runtime_measurements_staged";
	/* Populated now, so that the times have no page faults of this program. */
	room = mmap(NULL, ROOM, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (room == MAP_FAILED)
		err(1, "mmap");
	finished = shared(sizeof(*finished));
	m = shared(sizeof(*m));
	start_measurer(m, 1);

	pause_ns(START_NS);
	began = now_ns();
	pause_ns(PAUSE_NS);
	opening = now_ns();
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		err(1, "%s", path);
	if (staging)
		request(fd, "A\n");
	opened = now_ns();
	do {
		if (size + READ_SIZE > ROOM)
			errx(1, "%s has more than %zu bytes", path, ROOM);
		n = read(fd, room + size, READ_SIZE);
		if (n < 0)
			err(1, "%s", path);
		size += n;
	} while (n);
	exported = now_ns();
	request(fd, "D\n");
	removed = now_ns();
	atomic_store(finished, true);

	print_phase("alone", began, opening);
	print_phase("open", opening, opened);
	print_phase("export", opened, exported);
	print_phase("remove", exported, removed);
	print_measurer(m, 1);
	if (close(fd))
		err(1, "closing %s", path);
	return 0;
}
