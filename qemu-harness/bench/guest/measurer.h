/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Processes that measure files one after the other, as fast as they can, and keep
 * when each open() of a measured file began and ended.
 */

#ifndef _IMA_BENCH_MEASURER_H
#define _IMA_BENCH_MEASURER_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "bench.h"

#define MAX_RECORDS	200000
/* For the measurers to start */
#define START_NS	INT64_C(500000000)

struct span {
	int64_t start;
	int64_t end;
};

struct measurer {
	pid_t pid;
	unsigned long count;
	struct span *spans;
};

static atomic_bool *finished;

static inline void *shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		err(1, "mmap");
	return p;
}

static inline void measure(struct measurer *m, unsigned int n)
{
	struct measured_file file;

	measured_file_init(&file, n);
	while (!atomic_load(finished)) {
		struct span *span = &m->spans[m->count];

		if (m->count == MAX_RECORDS)
			errx(1, "more than %d records", MAX_RECORDS);
		measured_file_measure(&file, &span->start, &span->end);
		m->count++;
	}
}

/* The structure is in shared memory, and so is *finished, which ends all measurers. */
static inline void start_measurer(struct measurer *m, unsigned int n)
{
	pid_t parent = getpid(), child;

	m->spans = shared(MAX_RECORDS * sizeof(*m->spans));
	child = fork();
	if (child < 0)
		err(1, "fork");
	if (child) {
		m->pid = child;
		return;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	measure(m, n);
	_exit(0);
}

/* Waits for the measurer, after *finished was set, and prints its spans. */
static inline void print_measurer(const struct measurer *m, unsigned long n)
{
	int status;

	if (waitpid(m->pid, &status, 0) != m->pid || status)
		errx(1, "a measurer failed");
	for (unsigned long k = 0; k < m->count; k++)
		printf("{\"what\":\"record\",\"by\":%lu,\"start\":%" PRId64
		       ",\"end\":%" PRId64 "}\n", n, m->spans[k].start,
		       m->spans[k].end);
}

static inline void pause_ns(int64_t ns)
{
	const struct timespec t = {
		.tv_sec = ns / 1000000000,
		.tv_nsec = ns % 1000000000,
	};

	nanosleep(&t, NULL);
}

#endif
