// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * storm [--raw LOG] RECORDS SECONDS SEED DIR: processes that measure files below DIR,
 * read the lists, take snapshots, stage, pass descriptors on, load policies and use the
 * TPM, all at once. They are killed at random and started again. RECORDS files are
 * measured before they start.
 *
 * Without --raw, ima-snapshot alone removes records. With it, the storm does so itself,
 * by snapshots, by staging and by deletion, and appends to LOG what it removes. Its
 * standard output lists the files that were measured, a directory a line:
 *
 *   NUMBER DONE STARTED
 *
 * The files DIR/NUMBER/1 to DONE were measured once; DONE + 1 to STARTED (at most one)
 * once or not at all. Exit status 1: a promise was broken, which standard error names.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define IMA		"/sys/kernel/security/ima/"
#define SNAPSHOT	IMA "snapshot"
#define LIST		IMA "binary_runtime_measurements"
#define STAGED		IMA "binary_runtime_measurements_staged"

#define OTHER_PCR_UID	61235	/* storm.policy measures its files to PCR 11 */
#define UNUSED_UID	70000
#define LOCKED		75	/* exit status: another take is at work */
#define MAX_DIRS	65536
#define MAX_SEGMENT	(256 << 20)
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* Shared by all processes, and outlives those that are killed. */
static struct {
	unsigned int dirs;
	struct {
		unsigned int done;
		unsigned int started;
	} dir[MAX_DIRS];
	/* LOG has this many bytes of records that were removed for certain, ... */
	off_t committed;
	/* ... and behind them so many that were removed, or will be. */
	off_t intended;
	/* There may be staged records, which come before those of the list. */
	bool staged;
	/* What was done, by role */
	unsigned int removed[3];
	unsigned int takes;
} *shared;

static const char *dir;
static int log_fd = -1;
static int passing[2];
static uint64_t state;

static unsigned int below(unsigned int limit)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 11) % limit;
}

static void nap(unsigned int max_ms)
{
	usleep(below(max_ms * 1000 + 1));
}

static void __attribute__((noreturn, format(printf, 1, 2)))
broken(const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	dprintf(2, "storm: %s\n", text);
	_exit(1);
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		broken("%s: %s", path, strerror(errno));
	close(fd);
}

/* Reads all of @fd behind *@len. Returns 0 or the error number. */
static int slurp(int fd, char *buf, size_t *len)
{
	for (;;) {
		ssize_t n = read(fd, buf + *len, MAX_SEGMENT - *len);

		if (n < 0)
			return errno;
		if (!n)
			return *len == MAX_SEGMENT ? EFBIG : 0;
		*len += n;
	}
}

/* Makes a directory for files to be measured. Returns its number. */
static unsigned int new_directory(void)
{
	unsigned int number = __atomic_fetch_add(&shared->dirs, 1, __ATOMIC_SEQ_CST);
	char path[128];

	if (number >= MAX_DIRS)
		broken("more than %d directories", MAX_DIRS);
	snprintf(path, sizeof(path), "%s/%u", dir, number);
	if (mkdir(path, 0700))
		broken("%s: %s", path, strerror(errno));
	return number;
}

/* File @n of a directory: measured once, a quarter of them to another PCR, and now and then a violation */
static void measure_file(unsigned int number, unsigned int n)
{
	char path[128], text[64];
	int fd;

	snprintf(path, sizeof(path), "%s/%u/%u", dir, number, n);
	snprintf(text, sizeof(text), "%u %u\n", number, n);
	put(path, text);
	if (!below(4) && chown(path, OTHER_PCR_UID, -1))
		broken("%s: %s", path, strerror(errno));
	shared->dir[number].started = n;
	fd = open(path, O_RDONLY);
	if (fd < 0)
		broken("%s: %s", path, strerror(errno));
	shared->dir[number].done = n;
	if (!below(50))
		close(open(path, O_WRONLY));
	close(fd);
	unlink(path);
}

static void measure(void)
{
	unsigned int number = new_directory();

	for (unsigned int n = 1;; n++) {
		measure_file(number, n);
		if (!below(20))
			nap(5);
	}
}

static void fill(unsigned int records)
{
	unsigned int number = new_directory();

	for (unsigned int n = 1; n <= records; n++)
		measure_file(number, n);
}

/* Where a reader of a list is within a record, or within a line */
struct place {
	size_t digest_size;	/* 0: an ASCII list */
	size_t skip;
	unsigned int field;
	unsigned int have;
	unsigned char word[4];
	bool in_line;
};

static bool next_field(struct place *p)
{
	uint32_t value = p->word[0] | p->word[1] << 8 | p->word[2] << 16 |
			 (uint32_t)p->word[3] << 24;

	p->have = 0;
	switch (p->field) {
	case 0:
		p->skip = p->digest_size;
		p->field = 1;
		return value == 10 || value == 11;
	case 1:
		p->skip = value;
		p->field = 2;
		return value > 0 && value <= 16;
	default:
		p->skip = value;
		p->field = 0;
		return value > 0 && value < 1 << 16;
	}
}

/* Whether these bytes go on with the list */
static bool follow(struct place *p, const unsigned char *buf, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (p->digest_size) {
			if (p->skip) {
				p->skip--;
				continue;
			}
			p->word[p->have++] = buf[i];
			if (p->have == 4 && !next_field(p))
				return false;
		} else {
			if (!p->in_line && buf[i] != '1')
				return false;
			p->in_line = buf[i] != '\n';
		}
	}
	return true;
}

static const struct {
	const char *name;
	size_t digest_size;
} lists[] = {
	{ "binary_runtime_measurements", 20 },
	{ "binary_runtime_measurements_sha1", 20 },
	{ "binary_runtime_measurements_sha256", 32 },
	{ "ascii_runtime_measurements", 0 },
	{ "ascii_runtime_measurements_sha256", 0 },
};

/*
 * Reads a list from its beginning, in pieces. After each ESTALE it goes on with a
 * whole record. Some readers move about, too; then only errors are checked.
 */
static void read_list(void)
{
	unsigned int which = below(ARRAY_SIZE(lists));
	struct place place = { .digest_size = lists[which].digest_size };
	unsigned int reads = 1 + below(60);
	bool moves = !below(3);
	unsigned char buf[16384];
	char path[128];
	int fd;

	snprintf(path, sizeof(path), IMA "%s", lists[which].name);
	fd = open(path, O_RDONLY);
	if (fd < 0 && errno != EBUSY)
		broken("%s: open: %s", path, strerror(errno));
	while (fd >= 0 && reads--) {
		size_t want = 1 + below(below(4) ? sizeof(buf) : 64);
		ssize_t n;

		if (moves && !below(3))
			n = pread(fd, buf, want, below(1 << 16));
		else if (moves && !below(10))
			n = lseek(fd, below(3) ? below(1 << 16) : 0, SEEK_SET) < 0 ? -1 : 0;
		else
			n = read(fd, buf, want);
		if (n < 0 && errno == ESTALE)
			place = (struct place){ .digest_size = place.digest_size };
		else if (n < 0)
			broken("%s: read: %s", path, strerror(errno));
		else if (!moves && !follow(&place, buf, n))
			broken("%s: what was read is no record", path);
		if (!n || !below(20))
			nap(5);
	}
	if (fd >= 0)
		close(fd);
	/* Or else staging would find a reader each time. */
	nap(400);
}

static int open_snapshot(void)
{
	int fd = open(SNAPSHOT, O_RDWR);

	if (fd < 0 && errno != EBUSY)
		broken("open of the snapshot: %s", strerror(errno));
	return fd;
}

static void pass(int fd)
{
	char room[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec one = { .iov_base = "", .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &one, .msg_iovlen = 1,
		.msg_control = room, .msg_controllen = sizeof(room),
	};
	struct cmsghdr *head = CMSG_FIRSTHDR(&msg);

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(head), &fd, sizeof(int));
	sendmsg(passing[0], &msg, MSG_DONTWAIT);
}

/* Snapshots that end without a purge, in whatever process */
static void hold(void)
{
	char buf[4096];
	int fd = open_snapshot();

	if (fd < 0) {
		nap(20);
		return;
	}
	switch (below(5)) {
	case 0:
		/* The segment is longer: it begins with a record. */
		if (read(fd, buf, 1) != 1)
			broken("a segment that cannot be read: %s", strerror(errno));
		if (write(fd, "1", 1) != -1 || errno != EPROTO)
			broken("a purge of records that were not read");
		break;
	case 1:
		pass(fd);
		break;
	case 2:
		if (!fork()) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			nap(10);
			_exit(0);
		}
		break;
	case 3:
		nap(10);
		break;
	default:
		if (pread(fd, buf, sizeof(buf), below(1 << 16)) < 0)
			broken("a segment that cannot be read: %s", strerror(errno));
	}
	close(fd);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	nap(50);
}

/* Gets the descriptors that hold() passed on. */
static void receive(void)
{
	char room[CMSG_SPACE(sizeof(int))], byte;
	struct iovec one = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &one, .msg_iovlen = 1,
		.msg_control = room, .msg_controllen = sizeof(room),
	};
	char buf[4096];
	int fd;

	if (recvmsg(passing[1], &msg, 0) < 0 || !CMSG_FIRSTHDR(&msg))
		return;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
	if (read(fd, buf, sizeof(buf)) < 0)
		broken("a snapshot that was passed on: %s", strerror(errno));
	nap(10);
	close(fd);
}

/* @data is what the list begins with. Was what a process that died intended done? */
static void settle(const char *data, size_t len)
{
	static char was[4096];
	size_t same = shared->intended < (off_t)sizeof(was) ? shared->intended : (off_t)sizeof(was);

	if (!shared->intended)
		return;
	if (same > len)
		same = len;
	if (pread(log_fd, was, same, shared->committed) != (ssize_t)same)
		broken("LOG: %s", strerror(errno));
	if (!same || memcmp(was, data, same))
		shared->committed += shared->intended;
	shared->intended = 0;
}

/* Saves records that are about to be removed. The caller keeps all others from it. */
static void save(const char *data, size_t len)
{
	settle(data, len);
	if (pwrite(log_fd, data, len, shared->committed) != (ssize_t)len)
		broken("LOG: %s", strerror(errno));
	shared->intended = len;
}

static void saved(unsigned int how)
{
	shared->committed += shared->intended;
	shared->intended = 0;
	shared->removed[how]++;
}

static char *segment_room(void)
{
	static char *room;

	if (!room)
		room = mmap(NULL, MAX_SEGMENT, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return room == MAP_FAILED ? NULL : room;
}

static void purge(void)
{
	char *data = segment_room();
	size_t len = 0;
	int fd = open_snapshot();

	if (fd >= 0 && data) {
		int error = slurp(fd, data, &len);

		if (error)
			broken("a segment that cannot be read: %s", strerror(error));
		save(data, len);
		nap(2);
		if (write(fd, "1", 1) != 1)
			broken("purge: %s", strerror(errno));
		saved(0);
	}
	if (fd >= 0)
		close(fd);
	nap(30);
}

static void stage(void)
{
	char *data = segment_room();
	int fd = open(STAGED, O_RDWR), error;
	size_t len = 0;

	if (fd < 0) {
		if (errno != EBUSY)
			broken("open of the staged list: %s", strerror(errno));
		nap(2);
		return;
	}
	/* What a stager that died has left is staged still. */
	error = slurp(fd, data, &len);
	if (!error && !len) {
		shared->staged = true;
		if (write(fd, "A\n", 2) != 2 && errno != ENOENT)
			broken("stage: %s", strerror(errno));
		nap(2);
		if (lseek(fd, 0, SEEK_SET))
			broken("staged list: %s", strerror(errno));
		error = slurp(fd, data, &len);
	}
	if (error)
		broken("staged list: %s", strerror(error));
	if (len) {
		save(data, len);
		nap(2);
		if (write(fd, "D\n", 2) != 2)
			broken("delete: %s", strerror(errno));
		saved(1);
	}
	shared->staged = false;
	close(fd);
	nap(200);
}

/* Deletes the first records of the list. */
static void trim(void)
{
	struct place place = { .digest_size = 20 };
	unsigned int want = 1 + below(100), count = 0;
	char *data = segment_room(), text[16];
	int fd = open(LIST, O_RDWR), error;
	size_t len = 0, end = 0;

	if (fd < 0) {
		if (errno != EBUSY)
			broken("open of the list for writing: %s", strerror(errno));
		nap(2);
		return;
	}
	error = slurp(fd, data, &len);
	if (error)
		broken("list of a writer: %s", strerror(error));
	while (end < len && count < want && !shared->staged) {
		do {
			if (!follow(&place, (unsigned char *)data + end++, 1))
				broken("list of a writer: no record");
		} while (end < len && (place.field || place.have || place.skip));
		count++;
	}
	if (count) {
		save(data, end);
		nap(2);
		snprintf(text, sizeof(text), "%u\n", count);
		if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
			broken("delete of %u records: %s", count, strerror(errno));
		saved(2);
	}
	close(fd);
	nap(200);
}

/* Others' programs that open a list for writing and change nothing */
static void write_nonsense(void)
{
	int fd = open(below(2) ? LIST : STAGED, below(2) ? O_RDWR : O_WRONLY);

	if (fd < 0 && errno != EBUSY && errno != ENOENT)
		broken("open for writing: %s", strerror(errno));
	if (fd >= 0) {
		if (write(fd, "X\n", 2) != -1 || errno != EINVAL)
			broken("a list took nonsense");
		nap(5);
		close(fd);
	}
	nap(300);
}

static void load_policy(void)
{
	char rule[80];
	int fd = open(IMA "policy", O_WRONLY);

	if (fd >= 0) {
		snprintf(rule, sizeof(rule), "measure func=FILE_CHECK fowner=%u\n",
			 UNUSED_UID + below(100));
		if (write(fd, rule, strlen(rule)) < 0)
			broken("policy: %s", strerror(errno));
		close(fd);
	} else if (errno != EBUSY && errno != ENOENT) {
		broken("policy: %s", strerror(errno));
	}
	nap(2000);
}

/* TPM2_PCR_Extend of PCR 16, TPM2_PCR_Read, TPM2_GetRandom (TPM 2.0 part 3) */
static void use_tpm(void)
{
	static const unsigned char commands[][68] = {
		{ 0x80, 0x02, 0, 0, 0, 65, 0, 0, 1, 0x82, 0, 0, 0, 16,
		  0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0,
		  0, 0, 0, 1, 0, 0x0b, 1, 2, 3 },
		{ 0x80, 0x01, 0, 0, 0, 20, 0, 0, 1, 0x7e, 0, 0, 0, 1,
		  0, 0x0b, 3, 0xff, 0, 0 },
		{ 0x80, 0x01, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 32 },
	};
	const unsigned char *command = commands[below(ARRAY_SIZE(commands))];
	int fd = open("/dev/tpmrm0", O_RDWR);
	unsigned char answer[1024];
	ssize_t n;

	if (fd < 0)
		broken("/dev/tpmrm0: %s", strerror(errno));
	if (write(fd, command, command[5]) != command[5])
		broken("TPM command: %s", strerror(errno));
	n = read(fd, answer, sizeof(answer));
	if (n < 10 || answer[6] || answer[7] || answer[8] || answer[9])
		broken("TPM answer of %zd bytes, %02x%02x", n, answer[8], answer[9]);
	close(fd);
	nap(20);
}

/* Runs a program of the product. It may find the list busy, and nothing else. */
static void run(const char *const argv[])
{
	char name[64], text[4096];
	int status, fd;
	pid_t child;
	ssize_t n;

	snprintf(name, sizeof(name), "/tmp/storm.%d", getpid());
	fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0)
		broken("%s: %s", name, strerror(errno));
	unlink(name);
	child = fork();
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(open("/dev/null", O_WRONLY), 1);
		dup2(fd, 2);
		execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	if (waitpid(child, &status, 0) != child)
		broken("%s: %s", argv[1], strerror(errno));
	n = pread(fd, text, sizeof(text) - 1, 0);
	close(fd);
	text[n < 0 ? 0 : n] = '\0';
	if (status && !(WIFEXITED(status) && (WEXITSTATUS(status) == LOCKED || strstr(text, "\"cause\":\"busy\""))))
		broken("%s %s: wait status %#x: %s", argv[0], argv[1], status, text);
}

static void take(void)
{
	static const char *const argv[] = { "ima-snapshot", "take", "--json", NULL };

	run(argv);
	shared->takes++;
	nap(50);
}

static void look(void)
{
	static const char *const argv[][5] = {
		{ "ima-snapshot", "verify", "--tpm", "--json", NULL },
		{ "ima-snapshot", "cat", "--json", NULL },
		{ "ima-snapshot", "status", "--json", NULL },
		{ "ima-snapshot", "list", "--json", NULL },
	};

	run(argv[below(ARRAY_SIZE(argv))]);
	nap(500);
}

enum who { BOTH, RAW, PRODUCT, RAW_STAGING, PRODUCT_STAGING };

static const struct role {
	void (*once)(void);
	unsigned int processes;
	enum who who;
} roles[] = {
	{ measure, 3, BOTH },
	{ read_list, 2, BOTH },
	{ hold, 1, BOTH },
	{ receive, 1, BOTH },
	{ load_policy, 1, BOTH },
	{ use_tpm, 1, BOTH },
	{ purge, 2, RAW },
	{ stage, 1, RAW_STAGING },
	{ trim, 1, RAW_STAGING },
	{ take, 3, PRODUCT },
	{ look, 1, PRODUCT },
	{ write_nonsense, 1, PRODUCT_STAGING },
};

#define MAX_PROCESSES	32

static struct {
	const struct role *role;
	pid_t pid;
} process[MAX_PROCESSES];

/* Whether processes of this kind run. Linux before 7.2 has no staging. */
static bool runs(enum who who, bool raw, bool staging)
{
	switch (who) {
	case RAW:
		return raw;
	case PRODUCT:
		return !raw;
	case RAW_STAGING:
		return raw && staging;
	case PRODUCT_STAGING:
		return !raw && staging;
	default:
		return true;
	}
}

static void start(unsigned int slot, uint64_t seed)
{
	pid_t parent = getpid();

	process[slot].pid = fork();
	if (process[slot].pid < 0)
		broken("fork: %s", strerror(errno));
	if (process[slot].pid)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	state = seed * 0x9e3779b97f4a7c15 | 1;
	for (;;)
		process[slot].role->once();
}

/* Ends @slot. A process that ended before that has said what is broken. */
static bool end(unsigned int slot)
{
	int status;

	kill(process[slot].pid, SIGKILL);
	return waitpid(process[slot].pid, &status, 0) == process[slot].pid &&
	       WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

int main(int argc, char **argv)
{
	bool raw = argc > 2 && !strcmp(argv[1], "--raw");
	bool staging = !access(STAGED, F_OK);
	unsigned int slots = 0, kills = 0;
	bool good = true;
	uint64_t seed;
	time_t until;

	if (raw) {
		log_fd = open(argv[2], O_RDWR | O_CREAT, 0600);
		if (log_fd < 0)
			broken("%s: %s", argv[2], strerror(errno));
		argc -= 2;
		argv += 2;
	}
	if (argc != 5)
		return 2;
	seed = strtoull(argv[3], NULL, 10);
	dir = argv[4];
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED || socketpair(AF_UNIX, SOCK_DGRAM, 0, passing))
		broken("%s", strerror(errno));
	if (raw)
		shared->committed = lseek(log_fd, 0, SEEK_END);

	state = seed * 0x9e3779b97f4a7c15 | 1;
	fill(atoi(argv[1]));
	until = time(NULL) + atoi(argv[2]);
	for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
		if (!runs(roles[i].who, raw, staging))
			continue;
		for (unsigned int n = 0; n < roles[i].processes; n++) {
			process[slots].role = &roles[i];
			start(slots, seed * MAX_PROCESSES + slots);
			slots++;
		}
	}
	while (good && time(NULL) < until) {
		unsigned int victim = below(slots);

		/* A whole take needs longer than one of our purges. */
		nap(raw ? 200 : 600);
		if (!below(4)) {
			kill(process[victim].pid, SIGSTOP);
			nap(100);
		}
		good = end(victim);
		start(victim, seed * MAX_PROCESSES + victim + ++kills * 7919);
	}
	for (unsigned int slot = 0; slot < slots; slot++)
		good &= end(slot);

	/* With the sockets go the snapshots that nobody received. */
	close(passing[0]);
	close(passing[1]);
	/* What was intended last, and then the whole list */
	for (unsigned int before = shared->removed[0]; raw && good && shared->removed[0] == before;) {
		if (staging)
			stage();
		purge();
	}
	if (raw && ftruncate(log_fd, shared->committed))
		broken("LOG: %s", strerror(errno));
	for (unsigned int n = 0; n < shared->dirs; n++)
		printf("%u %u %u\n", n, shared->dir[n].done, shared->dir[n].started);
	dprintf(2, "storm: %u processes killed, %u takes, %u purges, %u stagings, %u deletions\n",
		kills, shared->takes, shared->removed[0], shared->removed[1], shared->removed[2]);
	return !good;
}
