// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * exit_amid_open FILE MILLISECONDS: one thread opens the file for reading and
 * writing, another ends the process after that time with exit status 7. If the open
 * returns before, the exit status is 0.
 */

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static void *open_it(void *path)
{
	_exit(open(path, O_RDWR) < 0);
}

int main(int argc, char **argv)
{
	pthread_t thread;

	if (argc != 3 || pthread_create(&thread, NULL, open_it, argv[1]))
		return 2;
	usleep(1000 * atoi(argv[2]));
	_exit(7);
}
