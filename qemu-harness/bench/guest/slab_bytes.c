// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * slab_bytes LABEL: the bytes of all pages that the slab caches hold, after
 * what is free was given back.
 */

#include <glob.h>

#include "bench.h"

#define SAME_TIMES	3
#define TRIES		40

/* Gives pages without objects back, those that a CPU keeps for itself too. */
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

		/* name, objects, active, size, objects and pages a slab */
		if (sscanf(line, "%*s %*u %*u %*u %*u %lu", &per_slab) == 1 &&
		    data &&
		    sscanf(data, ": slabdata %*u %lu", &slabs) == 1)
			pages += per_slab * slabs;
	}
	fclose(info);
	if (!pages)
		errx(1, "/proc/slabinfo tells of no slab");
	return (uint64_t)pages * sysconf(_SC_PAGESIZE);
}

/* Frees that wait for RCU, or for a worker, have come when nothing changes. */
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
		/* A page here and there comes and goes with any activity. */
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
