// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * slab_bytes LABEL: print the size of all pages that the slab caches hold,
 * after they have returned their free pages.
 */

#include <glob.h>

#include "bench.h"

#define SAME_TIMES	3
#define TRIES		40

/* Return pages without objects, also those on the lists of one CPU. */
static void shrink(void)
{
	glob_t caches;

	if (glob("/sys/kernel/slab/*/shrink", 0, NULL, &caches))
		errx(1, "no /sys/kernel/slab: CONFIG_SLUB_DEBUG is off");
	for (size_t i = 0; i < caches.gl_pathc; i++) {
		int fd = open(caches.gl_pathv[i], O_WRONLY | O_CLOEXEC);

		if (fd < 0 || write(fd, "1", 1) != 1 || close(fd))
			err(1, "%s", caches.gl_pathv[i]);
	}
	globfree(&caches);
}

static uint64_t slab_bytes(void)
{
	unsigned long pages = 0, per_slab, slabs;
	char line[1024];
	FILE *info;

	info = fopen("/proc/slabinfo", "re");
	if (!info)
		err(1, "/proc/slabinfo");
	while (fgets(line, sizeof(line), info)) {
		const char *data = strstr(line, ": slabdata");

		/* name, active objects, objects, size, objects per slab, pages per slab */
		if (sscanf(line, "%*s %*u %*u %*u %*u %lu", &per_slab) == 1 &&
		    data &&
		    sscanf(data, ": slabdata %*u %lu", &slabs) == 1)
			pages += per_slab * slabs;
	}
	fclose(info);
	if (!pages)
		errx(1, "/proc/slabinfo has no slabs");
	return (uint64_t)pages * sysconf(_SC_PAGESIZE);
}

/* When the size no longer changes, no free waits for RCU or a worker. */
static uint64_t settled_slab_bytes(void)
{
	const struct timespec pause = { .tv_nsec = 200000000 };
	uint64_t bytes = 0;
	int same = 0;

	for (int i = 0; i < TRIES && same < SAME_TIMES; i++) {
		uint64_t before = bytes;

		shrink();
		nanosleep(&pause, NULL);
		bytes = slab_bytes();
		/* Any activity adds or removes a few pages. */
		same = bytes <= before + 16384 && before <= bytes + 16384 ?
		       same + 1 : 0;
	}
	return bytes;
}

int main(int argc, char **argv)
{
	if (argc != 2)
		errx(2, "usage: slab_bytes LABEL");
	printf("{\"what\":\"slab\",\"label\":\"%s\",\"bytes\":%" PRIu64 "}\n",
	       argv[1], settled_slab_bytes());
	return 0;
}
