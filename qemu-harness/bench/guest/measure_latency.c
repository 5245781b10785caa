// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * measure_latency MEASURERS OPENINGS MIN_GAP_MS: let MEASURERS processes
 * measure files one after the other, as fast as they can, while this process
 * opens and closes the snapshot OPENINGS times.
 *
 * Prints, in nanoseconds of one clock, when each open() of a measured file and
 * of the snapshot began and ended:
 *
 *	{"what":"record","by":N,"start":S,"end":E}
 *	{"what":"opening","start":S,"end":E,"errno":N}
 *
 * The errno of an opening is 0 if it succeeded.
 *
 * The pause between two openings is as long as the opening was, and at least
 * MIN_GAP_MS. It gives ordinary records to compare with.
 */

#include "measurer.h"

#define MAX_MEASURERS	16

struct opening {
	struct span span;
	int error;
};

static void open_snapshot(struct opening *opening)
{
	int fd;

	opening->span.start = now_ns();
	fd = open(IMA_DIR "snapshot", O_RDWR | O_CLOEXEC);
	opening->error = fd < 0 ? errno : 0;
	opening->span.end = now_ns();
	if (fd >= 0 && close(fd))
		err(1, "snapshot");
}

int main(int argc, char **argv)
{
	unsigned long measurers, openings;
	struct measurer *m;
	struct opening *opened;
	int64_t min_gap;

	if (argc != 4)
		errx(2, "usage: measure_latency MEASURERS OPENINGS MIN_GAP_MS");
	measurers = number(argv[1]);
	openings = number(argv[2]);
	min_gap = (int64_t)number(argv[3]) * 1000000;
	if (!measurers || measurers > MAX_MEASURERS || !openings)
		errx(2, "1 to %d measurers and at least 1 opening", MAX_MEASURERS);
	opened = calloc(openings, sizeof(*opened));
	if (!opened)
		err(1, "calloc");
	finished = shared(sizeof(*finished));
	m = shared(measurers * sizeof(*m));

	for (unsigned long i = 0; i < measurers; i++)
		start_measurer(&m[i], i + 1);

	pause_ns(START_NS);
	for (unsigned long i = 0; i < openings; i++) {
		int64_t took;

		open_snapshot(&opened[i]);
		took = opened[i].span.end - opened[i].span.start;
		pause_ns(took > min_gap ? took : min_gap);
	}
	atomic_store(finished, true);

	for (unsigned long i = 0; i < measurers; i++)
		print_measurer(&m[i], i + 1);
	for (unsigned long i = 0; i < openings; i++)
		printf("{\"what\":\"opening\",\"start\":%" PRId64
		       ",\"end\":%" PRId64 ",\"errno\":%d}\n",
		       opened[i].span.start, opened[i].span.end,
		       opened[i].error);
	return 0;
}
