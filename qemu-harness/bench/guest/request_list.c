// SPDX-License-Identifier: GPL-2.0-or-later
/* request_list FILE REQUEST: write the line REQUEST to a measurement list and print how long that took. */

#include "bench.h"

int main(int argc, char **argv)
{
	int64_t start, end;
	char line[32];
	int fd, size;

	if (argc != 3)
		errx(2, "usage: request_list FILE REQUEST");
	size = snprintf(line, sizeof(line), "%s\n", argv[2]);
	if (size >= (int)sizeof(line))
		errx(2, "the request is too long");
	start = now_ns();
	fd = open(argv[1], O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		err(1, "%s", argv[1]);
	if (write(fd, line, size) != size)
		err(1, "writing %s to %s", argv[2], argv[1]);
	end = now_ns();
	if (close(fd))
		err(1, "closing %s", argv[1]);
	printf("{\"what\":\"request\",\"request\":\"%s\",\"ns\":%" PRId64 "}\n",
	       argv[2], end - start);
	return 0;
}
