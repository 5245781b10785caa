// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * snapshot_amid_kexec FILE: open and read the snapshot, execute the loaded kernel,
 * and write to the kernel's log what the snapshot returns once measuring is
 * suspended:
 *
 *   second	the first error other than EBUSY of a second open
 *   write	the write that would purge
 *   reopen	an open after the first file was closed
 *
 * It has the priority of a real-time process, so that it runs at that moment even
 * on one CPU.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/reboot.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SLEEP_NS	100000
#define PATIENCE	500000

static const char *outcome(long result)
{
	return result < 0 ? strerrorname_np(errno) : "succeeded";
}

static int read_all(int fd)
{
	char buf[65536];
	ssize_t n;

	do
		n = read(fd, buf, sizeof(buf));
	while (n > 0);
	return n;
}

/* Opens the file until it fails for a reason other than the one of now. */
static const char *second_open(const char *file)
{
	const struct timespec pause = { .tv_nsec = SLEEP_NS };

	for (int i = 0; i < PATIENCE; i++) {
		if (open(file, O_RDWR) >= 0)
			return "succeeded";
		if (errno != EBUSY)
			return strerrorname_np(errno);
		nanosleep(&pause, NULL);
	}
	return "EBUSY";
}

int main(int argc, char **argv)
{
	const struct sched_param first = { .sched_priority = 1 };
	const char *second, *written, *reopened;
	int fd, kmsg, len;
	char line[128];

	if (argc != 2)
		return 2;
	kmsg = open("/dev/kmsg", O_WRONLY);
	fd = open(argv[1], O_RDWR);
	if (kmsg < 0 || fd < 0 || read_all(fd))
		return 1;

	switch (fork()) {
	case -1:
		return 1;
	case 0:
		syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
			LINUX_REBOOT_CMD_KEXEC, NULL);
		_exit(1);
	}
	if (sched_setscheduler(0, SCHED_FIFO, &first))
		return 1;

	second = second_open(argv[1]);
	written = outcome(write(fd, "1", 1));
	close(fd);
	reopened = outcome(open(argv[1], O_RDWR));
	len = snprintf(line, sizeof(line),
		       "<4>snapshot_amid_kexec: second %s, write %s, reopen %s\n",
		       second, written, reopened);
	if (write(kmsg, line, len) != len)
		return 1;
	/* The next kernel ends the process. */
	sleep(60);
	return 1;
}
