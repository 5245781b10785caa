/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the programs of the benchmark share: time, errors, and a file that
 * gives IMA a new record each time it is read.
 *
 * The programs print their results, one JSON object per line.
 */

#ifndef _IMA_BENCH_H
#define _IMA_BENCH_H

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define IMA_DIR		"/sys/kernel/security/ima/"

/* The policy of the benchmark measures the files of this owner. */
#define MEASURED_UID	61234

#define MEASURED_DIR	"/tmp/ima-bench/libexec"

static inline int64_t now_ns(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_MONOTONIC, &t))
		err(1, "clock_gettime");
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* A number from the command line */
static inline unsigned long number(const char *text)
{
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || end == text || *end)
		errx(2, "'%s' is not a number", text);
	return value;
}

/*
 * A file that is rewritten before each measurement. New content costs IMA the
 * same as a new file, but the rest of the kernel needs no memory for it. So
 * only records make the slab grow.
 */
struct measured_file {
	char path[64];
	uint64_t content[2];
};

/* The path always has the same length, so that records have the same size. */
static inline void measured_file_init(struct measured_file *f, unsigned int n)
{
	int fd;

	if ((mkdir("/tmp/ima-bench", 0755) && errno != EEXIST) ||
	    (mkdir(MEASURED_DIR, 0755) && errno != EEXIST))
		err(1, "mkdir " MEASURED_DIR);
	snprintf(f->path, sizeof(f->path), MEASURED_DIR "/measured-%05u", n);
	fd = open(f->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0 || fchown(fd, MEASURED_UID, 0) || close(fd))
		err(1, "%s", f->path);
	/* Differs from every earlier content, also from that of other processes. */
	f->content[0] = now_ns();
	f->content[1] = 0;
}

static inline void measured_file_change(struct measured_file *f)
{
	int fd;

	f->content[1]++;
	fd = open(f->path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 ||
	    write(fd, f->content, sizeof(f->content)) != sizeof(f->content) ||
	    close(fd))
		err(1, "writing %s", f->path);
}

/* Add a record; START and END are those of the open() that waits for it. */
static inline void measured_file_measure(struct measured_file *f,
					 int64_t *start, int64_t *end)
{
	int fd;

	measured_file_change(f);
	*start = now_ns();
	fd = open(f->path, O_RDONLY | O_CLOEXEC);
	*end = now_ns();
	if (fd < 0 || close(fd))
		err(1, "reading %s", f->path);
}

#endif
