// SPDX-License-Identifier: GPL-2.0-or-later
/* make_records COUNT: let IMA measure COUNT new contents. */

#include "bench.h"

static unsigned long record_count(void)
{
	char text[32] = "";
	int fd = open(IMA_DIR "runtime_measurements_count", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0 || close(fd))
		err(1, "runtime_measurements_count");
	return strtoul(text, NULL, 10);
}

int main(int argc, char **argv)
{
	unsigned long count, before, added;
	struct measured_file file;
	int64_t start, end, began;

	if (argc != 2)
		errx(2, "usage: make_records COUNT");
	count = number(argv[1]);
	measured_file_init(&file, 0);
	before = record_count();
	began = now_ns();
	for (unsigned long i = 0; i < count; i++)
		measured_file_measure(&file, &start, &end);
	end = now_ns();

	/* Another program may have been measured meanwhile. */
	added = record_count() - before;
	if (added < count)
		errx(1, "%lu records instead of %lu", added, count);
	printf("{\"what\":\"make\",\"records\":%lu,\"ns\":%" PRId64 "}\n",
	       count, end - began);
	return 0;
}
