// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * kcov_fuzz SECONDS SEED: random system calls on IMA's files in securityfs, guided by
 * what they reach in the kernel (Documentation/dev-tools/kcov.rst): a sequence that
 * reaches something new is kept, and changed further. Prints each address that was
 * reached, in hex, a line each.
 */

#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define IMA		"/sys/kernel/security/ima/"
#define DIR		"/load/fuzz"
#define COVER_SIZE	(1 << 16)
#define MAX_PCS		(1 << 14)	/* a power of two */
#define MAX_OPS		14
#define MAX_KEPT	1024
#define SLOTS		3
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

#define KCOV_INIT_TRACE	_IOR('c', 1, unsigned long)
#define KCOV_ENABLE	_IO('c', 100)
#define KCOV_TRACE_PC	0

enum kind {
	OPEN, READ, READ_ALL, PREAD, SEEK, WRITE, CLOSE, DUP, MEASURE, CAPABILITY,
	READ_BAD, WRITE_BAD, FAIL, NR_KINDS
};

struct op {
	unsigned char kind;
	unsigned char slot;
	unsigned char arg;
	unsigned char more;
};

struct sequence {
	unsigned int count;
	struct op op[MAX_OPS];
};

/* The first are tried more often. */
static const char *const files[] = {
	IMA "snapshot", IMA "snapshot", IMA "snapshot", IMA "snapshot",
	IMA "binary_runtime_measurements", IMA "binary_runtime_measurements_staged",
	IMA "ascii_runtime_measurements", IMA "ascii_runtime_measurements_staged",
	IMA "binary_runtime_measurements_sha256", IMA "runtime_measurements_total",
	IMA "runtime_measurements_count", IMA "runtime_measurements_size",
	IMA "snapshot_attempts", IMA "snapshot_purges", IMA "violations",
};

static const int modes[] = { O_RDWR, O_RDWR, O_RDWR, O_RDONLY, O_WRONLY, O_RDWR | O_DIRECT, O_RDWR | O_NONBLOCK };
static const size_t sizes[] = { 0, 1, 2, 7, 100, 4096, 65536 };
static const char *const texts[] = { "1\n", "A\n", "D\n", "3\n", "0\n", "X\n", "99999999999999999999\n", "A" };

static unsigned long *cover;
static uint64_t pcs[MAX_PCS];
static unsigned int nr_pcs;
static struct sequence kept[MAX_KEPT];
static unsigned int nr_kept;
static unsigned long files_made;
static uint64_t state;
static char buf[65536];
static void *no_memory;
static int fail_nth;

static unsigned int below(unsigned int limit)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 11) % limit;
}

static void begin_coverage(void)
{
	int fd = open("/sys/kernel/debug/kcov", O_RDWR);

	if (fd < 0 || ioctl(fd, KCOV_INIT_TRACE, COVER_SIZE))
		err(1, "kcov");
	cover = mmap(NULL, COVER_SIZE * sizeof(*cover), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (cover == MAP_FAILED || ioctl(fd, KCOV_ENABLE, KCOV_TRACE_PC))
		err(1, "kcov");
}

/* Returns whether @pc was not reached before. */
static bool add_pc(uint64_t pc)
{
	unsigned int at = (pc * 0x9e3779b97f4a7c15) >> 50;

	while (pcs[at % MAX_PCS] && pcs[at % MAX_PCS] != pc)
		at++;
	if (pcs[at % MAX_PCS])
		return false;
	if (++nr_pcs == MAX_PCS)
		errx(1, "more than %d addresses", MAX_PCS);
	pcs[at % MAX_PCS] = pc;
	return true;
}

static bool add_all(void)
{
	unsigned long n = __atomic_load_n(&cover[0], __ATOMIC_RELAXED);
	bool new = false;

	for (unsigned long i = 0; i < n; i++)
		new |= add_pc(cover[i + 1]);
	return new;
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		err(1, "%s", path);
	close(fd);
}

static void set_capability(bool on)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data))
		err(1, "capget");
	if (on)
		data[0].effective |= 1U << CAP_SYS_ADMIN;
	else
		data[0].effective &= ~(1U << CAP_SYS_ADMIN);
	if (syscall(SYS_capset, &head, data))
		err(1, "capset");
}

static void measure(unsigned int count)
{
	while (count--) {
		char path[64];
		int fd;

		snprintf(path, sizeof(path), DIR "/%lu", files_made++);
		/* An allocation of any of these may fail. */
		fd = open(path, O_WRONLY | O_CREAT, 0600);
		if (fd >= 0) {
			(void)!write(fd, path, strlen(path));
			close(fd);
		}
		fd = open(path, O_RDONLY);
		if (fd >= 0)
			close(fd);
		unlink(path);
	}
}

static void run_op(const struct op *op, int fd[SLOTS])
{
	int *slot = &fd[op->slot % SLOTS];
	size_t size = sizes[op->arg % ARRAY_SIZE(sizes)];
	const char *text = texts[op->arg % ARRAY_SIZE(texts)];
	char number[8];

	switch (op->kind) {
	case OPEN:
		if (*slot >= 0)
			close(*slot);
		*slot = open(files[op->arg % ARRAY_SIZE(files)], modes[op->more % ARRAY_SIZE(modes)]);
		break;
	case READ:
		(void)!read(*slot, buf, size);
		break;
	case READ_ALL:
		while (read(*slot, buf, sizeof(buf)) > 0)
			;
		break;
	case PREAD:
		(void)!pread(*slot, buf, size, op->more * 16);
		break;
	case SEEK:
		lseek(*slot, op->more * 16, op->arg % 3);
		break;
	case WRITE:
		(void)!write(*slot, text, op->more % 8 ? strlen(text) : 0);
		break;
	case CLOSE:
		if (*slot >= 0)
			close(*slot);
		*slot = -1;
		break;
	case DUP:
		if (fd[op->arg % SLOTS] < 0)
			fd[op->arg % SLOTS] = dup(*slot);
		break;
	case MEASURE:
		measure(1 + op->arg % 8);
		break;
	case CAPABILITY:
		(void)!write(fail_nth, "0", 1);
		set_capability(op->arg % 2);
		break;
	case READ_BAD:
		(void)!read(*slot, no_memory, size);
		break;
	case WRITE_BAD:
		(void)!write(*slot, no_memory, size);
		break;
	case FAIL:
		/* An allocation of one of the next calls fails. */
		snprintf(number, sizeof(number), "%d", 1 + op->arg % 40);
		(void)!write(fail_nth, number, strlen(number));
		break;
	}
}

static bool run(const struct sequence *s)
{
	int fd[SLOTS] = { -1, -1, -1 };
	int staged;

	__atomic_store_n(&cover[0], 0, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < s->count; i++)
		run_op(&s->op[i], fd);
	for (int i = 0; i < SLOTS; i++) {
		if (fd[i] >= 0)
			close(fd[i]);
	}
	(void)!write(fail_nth, "0", 1);
	set_capability(true);
	/* Staged records would keep the next sequence from taking snapshots. */
	staged = open(IMA "binary_runtime_measurements_staged", O_RDWR);
	if (staged >= 0) {
		(void)!write(staged, "D\n", 2);
		close(staged);
	}
	return add_all();
}

static struct op random_op(void)
{
	return (struct op){ below(NR_KINDS), below(SLOTS), below(256), below(256) };
}

static void change(struct sequence *s)
{
	unsigned int at = s->count ? below(s->count) : 0;

	switch (below(3)) {
	case 0:
		if (s->count)
			s->op[at] = random_op();
		break;
	case 1:
		if (s->count < MAX_OPS) {
			memmove(&s->op[at + 1], &s->op[at], (s->count - at) * sizeof(s->op[0]));
			s->op[at] = random_op();
			s->count++;
		}
		break;
	default:
		if (s->count > 1) {
			s->count--;
			memmove(&s->op[at], &s->op[at + 1], (s->count - at) * sizeof(s->op[0]));
		}
	}
}

int main(int argc, char **argv)
{
	/* Open, read, purge: without it, chance would need long. */
	static const struct sequence first = {
		4, { { MEASURE, 0, 3, 0 }, { OPEN, 0, 0, 0 }, { READ_ALL, 0, 0, 0 }, { WRITE, 0, 0, 1 } },
	};
	unsigned long sequences = 0;
	time_t until;

	if (argc != 3)
		return 2;
	until = time(NULL) + atoi(argv[1]);
	state = strtoull(argv[2], NULL, 10) * 0x9e3779b97f4a7c15 | 1;
	mkdir(DIR, 0700);
	put("/sys/kernel/debug/failslab/verbose", "0");
	put("/sys/kernel/debug/failslab/ignore-gfp-wait", "N");
	no_memory = mmap(NULL, sizeof(buf), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fail_nth = open("/proc/self/fail-nth", O_RDWR);
	if (no_memory == MAP_FAILED || fail_nth < 0)
		err(1, "faults");
	begin_coverage();
	kept[nr_kept++] = first;
	run(&first);
	while (time(NULL) < until) {
		struct sequence s = kept[below(nr_kept)];

		for (unsigned int changes = 1 + below(4); changes; changes--)
			change(&s);
		sequences++;
		if (run(&s) && nr_kept < MAX_KEPT)
			kept[nr_kept++] = s;
	}
	for (unsigned int i = 0; i < MAX_PCS; i++) {
		if (pcs[i])
			printf("%llx\n", (unsigned long long)pcs[i]);
	}
	fprintf(stderr, "%lu sequences, %u kept, %u addresses reached\n", sequences, nr_kept, nr_pcs);
	return 0;
}
