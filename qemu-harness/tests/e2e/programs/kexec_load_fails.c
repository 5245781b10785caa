// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * kexec_load_fails KERNEL INITRD COMMAND_LINE: load a kernel again and again; each time
 * another allocation of the call fails, until none is left (fault injection, fail-nth).
 * Prints how many loads failed and how many succeeded.
 */

#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_POINTS	5000

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		err(1, "%s", path);
	close(fd);
}

static int open_file(const char *path)
{
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

int main(int argc, char **argv)
{
	unsigned int failed = 0, succeeded = 0;
	int nth, kernel, initrd;

	if (argc != 4)
		return 2;
	/* Of the slab alone: the pages of the kernel's image are thousands. */
	put("/sys/kernel/debug/failslab/verbose", "0");
	put("/sys/kernel/debug/failslab/ignore-gfp-wait", "N");
	nth = open("/proc/self/fail-nth", O_RDWR);
	if (nth < 0)
		err(1, "fail-nth");
	kernel = open_file(argv[1]);
	initrd = open_file(argv[2]);
	for (int point = 1; point <= MAX_POINTS; point++) {
		char text[16];
		long ret;
		int len = snprintf(text, sizeof(text), "%d", point);

		if (write(nth, text, len) != len)
			err(1, "fail-nth");
		ret = syscall(SYS_kexec_file_load, kernel, initrd, strlen(argv[3]) + 1, argv[3], 0UL);
		if (pread(nth, text, sizeof(text), 0) <= 0 || write(nth, "0", 1) != 1)
			err(1, "fail-nth");
		if (ret)
			failed++;
		else
			succeeded++;
		if (text[0] != '0') {
			printf("%u loads failed, %u succeeded\n", failed, succeeded);
			return 0;
		}
	}
	errx(1, "more than %d allocations", MAX_POINTS);
}
