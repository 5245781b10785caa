/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the IMA selftests share: a private directory whose files are measured,
 * the state that a refusal must not change, and snapshots with their contents.
 *
 * Other processes may be measured meanwhile: no helper takes the list for
 * frozen, only for growing at its end.
 */

#ifndef _SELFTESTS_IMA_COMMON_H
#define _SELFTESTS_IMA_COMMON_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "ima_log.h"

#ifndef __maybe_unused	/* kselftest.h of Linux 6.12 has none */
#define __maybe_unused	__attribute__((__unused__))
#endif

/*
 * Seconds for one test. A busy host that emulates the machine, or a debug
 * kernel, needs far more than the 30 of the harness.
 */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	600

#define IMA_DIR		"/sys/kernel/security/ima/"
#define SNAPSHOT	IMA_DIR "snapshot"
#define BINARY_LIST	IMA_DIR "binary_runtime_measurements"
#define ASCII_LIST	IMA_DIR "ascii_runtime_measurements"
#define BINARY_STAGED	IMA_DIR "binary_runtime_measurements_staged"
#define ASCII_STAGED	IMA_DIR "ascii_runtime_measurements_staged"

/* A tmpfs in a mount namespace of the test's own: what is in it is its own. */
#define WORK_DIR	"/tmp"

/* Files of these owners are measured when they are opened for reading. */
#define MEASURED_UID	61234
#define OTHER_PCR_UID	61235

static const struct {
	uid_t uid;
	unsigned int pcr;
} other_pcrs[] __maybe_unused = {
	{ OTHER_PCR_UID, 11 },
	{ OTHER_PCR_UID + 1, 12 },
	{ OTHER_PCR_UID + 2, 13 },
};

#define POLICY \
	"measure func=FILE_CHECK mask=MAY_READ fowner=61234\n" \
	"measure func=FILE_CHECK mask=MAY_READ fowner=61235 pcr=11\n" \
	"measure func=FILE_CHECK mask=MAY_READ fowner=61236 pcr=12\n" \
	"measure func=FILE_CHECK mask=MAY_READ fowner=61237 pcr=13\n"

static ssize_t __maybe_unused read_text(const char *path, char *text,
					size_t size)
{
	ssize_t len;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	len = read(fd, text, size - 1);
	close(fd);
	text[len < 0 ? 0 : len] = '\0';
	return len;
}

static bool __maybe_unused on_command_line(const char *option)
{
	char text[4096];

	return read_text("/proc/cmdline", text, sizeof(text)) > 0 &&
	       strstr(text, option);
}

/* Memory that no system call can read or write. */
static void __maybe_unused *no_memory(void)
{
	void *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);

	return page == MAP_FAILED ? NULL : page;
}

/* Value of a single-value file, -1 if it is not there or not a number. */
static long __maybe_unused counter(const char *name)
{
	char path[128], text[32], *end;
	long val;

	snprintf(path, sizeof(path), IMA_DIR "%s", name);
	if (read_text(path, text, sizeof(text)) < 2)
		return -1;
	val = strtol(text, &end, 10);
	return strcmp(end, "\n") ? -1 : val;
}

/* Appends what is left of @fd to @log, reading @chunk bytes at a time. */
static int __maybe_unused read_rest(int fd, size_t chunk, struct ima_log *log)
{
	size_t room = log->len;

	for (;;) {
		ssize_t n;

		if (room - log->len < chunk) {
			__u8 *new;

			room = 2 * room + chunk;
			new = realloc(log->bytes, room);
			if (!new)
				return -1;
			log->bytes = new;
		}
		n = read(fd, log->bytes + log->len, chunk);
		if (n <= 0)
			return n;
		log->len += n;
	}
}

/* Reads and parses a binary list; "" or what is wrong with it. */
static const char * __maybe_unused log_read(const char *path,
					    struct ima_log *log)
{
	int fd, ret;

	log_free(log);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return strerror(errno);
	ret = read_rest(fd, 1 << 16, log);
	close(fd);
	if (ret)
		return "read failed";
	return log_parse(log, SHA1_SIZE);
}

/* Gives a list file a request. Returns 0, or -1 with errno set. */
static int __maybe_unused list_write(const char *path, const char *request)
{
	int fd, error = 0;

	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (write(fd, request, strlen(request)) != (ssize_t)strlen(request))
		error = errno;
	close(fd);
	errno = error;
	return error ? -1 : 0;
}

/* How many records from @from on have this event name. */
static size_t __maybe_unused log_count_name(const struct ima_log *log,
					    size_t from, const char *name)
{
	size_t count = 0;

	for (size_t i = from; i < log->count; i++)
		count += record_has_name(&log->rec[i], name);
	return count;
}

static int __maybe_unused make_file(const char *path, uid_t uid,
				    const void *content, size_t len)
{
	int fd, ret = -1;

	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	if (write(fd, content, len) == (ssize_t)len && !fchown(fd, uid, -1))
		ret = 0;
	close(fd);
	return ret;
}

static int __maybe_unused open_for_reading(const char *path)
{
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	return close(fd);
}

/* Gives @path content that no file had before. */
static int __maybe_unused make_new_file(const char *path, uid_t uid)
{
	char content[32];

	if (getrandom(content, sizeof(content), 0) != sizeof(content))
		return -1;
	return make_file(path, uid, content, sizeof(content));
}

/* Adds one record, for a file that does not stay. */
static int __maybe_unused measure_new(uid_t uid)
{
	char path[64];

	snprintf(path, sizeof(path), WORK_DIR "/measured-%d", getpid());
	if (make_new_file(path, uid) || open_for_reading(path))
		return -1;
	return unlink(path);
}

static int __maybe_unused measure_many(unsigned int n)
{
	while (n--) {
		if (measure_new(MEASURED_UID))
			return -1;
	}
	return 0;
}

/* Forks, and sees to it that no child outlives a failed test. */
static pid_t __maybe_unused fork_child(void)
{
	pid_t parent = getpid(), child;

	child = fork();
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(KSFT_FAIL);
	}
	return child;
}

static int __maybe_unused exit_status(pid_t child)
{
	int status;

	if (waitpid(child, &status, 0) != child)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool __maybe_unused kill_child(pid_t child)
{
	int status;

	return !kill(child, SIGKILL) && waitpid(child, &status, 0) == child &&
	       WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

/* A child that adds records until it is killed. */
static pid_t __maybe_unused fork_load(uid_t uid)
{
	pid_t child = fork_child();

	if (child)
		return child;
	while (!measure_new(uid))
		;
	_exit(KSFT_FAIL);
}

static int __maybe_unused set_sys_admin(bool on)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data))
		return -1;
	if (on)
		data[0].effective |= 1U << CAP_SYS_ADMIN;
	else
		data[0].effective &= ~(1U << CAP_SYS_ADMIN);
	return syscall(SYS_capset, &head, data);
}

/*
 * Measures files of these names, their names their content, as if they were
 * read for the first time: with the mount goes all that IMA caches of them.
 */
static int __maybe_unused measure_same(const char *const path[], size_t n)
{
	if (umount(WORK_DIR) ||
	    mount("ima-test", WORK_DIR, "tmpfs", 0, "mode=0700"))
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (make_file(path[i], MEASURED_UID, path[i],
			      strlen(path[i])) ||
		    open_for_reading(path[i]))
			return -1;
	}
	return 0;
}

/* Whether a new file of @uid brings a record. */
static bool __maybe_unused is_measured(uid_t uid)
{
	const char *path = WORK_DIR "/is-measured";
	struct ima_log log = {};
	size_t before, after;

	if (*log_read(BINARY_LIST, &log))
		return false;
	before = log_count_name(&log, 0, path);
	if (make_new_file(path, uid) || open_for_reading(path) || unlink(path))
		return false;
	if (*log_read(BINARY_LIST, &log))
		return false;
	after = log_count_name(&log, 0, path);
	log_free(&log);
	return after == before + 1;
}

static bool __maybe_unused all_are_measured(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(other_pcrs); i++) {
		if (!is_measured(other_pcrs[i].uid))
			return false;
	}
	return is_measured(MEASURED_UID);
}

static int __maybe_unused load_policy(void)
{
	const char *rule = POLICY;
	int fd;

	fd = open(IMA_DIR "policy", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	/* One rule is taken at a time. */
	while (*rule) {
		ssize_t n = write(fd, rule, strlen(rule));

		if (n <= 0)
			break;
		rule += n;
	}
	close(fd);
	return *rule ? -1 : 0;
}

static bool __maybe_unused hashes_work(void)
{
	static const __u8 sha256_of_abc[] = {
		0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea,
		0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
		0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c,
		0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
	};
	__u8 digest[DIGEST_MAX];

	return !hash_bytes("sha256", "abc", 3, digest) &&
	       !memcmp(digest, sha256_of_abc, sizeof(sha256_of_abc));
}

static int __maybe_unused mount_work_dir(void)
{
	if (unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -1;
	return mount("ima-test", WORK_DIR, "tmpfs", 0, "mode=0700");
}

static void __noreturn __maybe_unused skip_program(const char *reason)
{
	ksft_print_header();
	ksft_exit_skip("%s\n", reason);
}

static void __maybe_unused require_file(const char *path)
{
	char reason[256];

	if (!access(path, F_OK))
		return;
	snprintf(reason, sizeof(reason), "this kernel has no %s", path);
	skip_program(reason);
}

/*
 * Ends the program with KSFT_SKIP and the reason if none of it can run.
 * Else adds to the IMA policy what the tests need, once per boot.
 */
static void __maybe_unused require_ima(void)
{
	if (getuid())
		skip_program("needs root");
	if (access(BINARY_LIST, F_OK))
		skip_program("no IMA, or securityfs is not mounted");
	if (on_command_line("ima_template=ima "))
		skip_program("no parser for template 'ima'");
	if (!hashes_work())
		skip_program("no hashes through AF_ALG");
	if (mount_work_dir())
		skip_program("no private mount of " WORK_DIR);

	if (all_are_measured())
		return;
	if (load_policy())
		skip_program("cannot add rules to the IMA policy");
}

/* For each FIXTURE_SETUP(): a WORK_DIR where files are measured. */
static void __maybe_unused setup_ima(struct __test_metadata *_metadata)
{
	ASSERT_EQ(0, mount_work_dir());
	ASSERT_TRUE(all_are_measured());
}

/* What a refused call must leave as it is. */
struct state {
	struct ima_log log;
	long attempts;
	long purges;
};

static void __maybe_unused state_get(struct __test_metadata *_metadata,
				     struct state *state)
{
	ASSERT_STREQ("", log_read(BINARY_LIST, &state->log));
	state->attempts = counter("snapshot_attempts");
	state->purges = counter("snapshot_purges");
}

static void __maybe_unused expect_unchanged(struct __test_metadata *_metadata,
					    const struct state *before)
{
	struct state now = {};

	state_get(_metadata, &now);
	EXPECT_TRUE(log_is_prefix(&before->log, &now.log));
	EXPECT_EQ(0, log_count_name(&now.log, before->log.count,
				    "snapshot_aggregate"));
	EXPECT_EQ(before->attempts, now.attempts);
	EXPECT_EQ(before->purges, now.purges);
	log_free(&now.log);
}

/* An open snapshot, all of it read. */
struct snapshot {
	int fd;
	/* What read() gave, and the whole list as it was after that. */
	struct ima_log segment;
	struct ima_log list;
	/* The record behind the segment, in @list. */
	const struct ima_record *rec;
	struct aggregate agg;
};

static int __maybe_unused snapshot_open(void)
{
	return open(SNAPSHOT, O_RDWR | O_CLOEXEC);
}

/* Reads the segment of @snap->fd and finds the record that was made for it. */
static void __maybe_unused snapshot_load(struct __test_metadata *_metadata,
					 struct snapshot *snap)
{
	const __u8 *text;
	__u32 len;

	log_free(&snap->segment);
	log_free(&snap->list);
	ASSERT_EQ(0, lseek(snap->fd, 0, SEEK_SET));
	ASSERT_EQ(0, read_rest(snap->fd, 1 << 16, &snap->segment));
	ASSERT_STREQ("", log_parse(&snap->segment, SHA1_SIZE));
	ASSERT_STREQ("", log_read(BINARY_LIST, &snap->list));
	ASSERT_TRUE(log_is_prefix(&snap->segment, &snap->list));
	ASSERT_LT(snap->segment.count, snap->list.count);

	snap->rec = &snap->list.rec[snap->segment.count];
	ASSERT_TRUE(record_has_name(snap->rec, "snapshot_aggregate"));
	text = record_field(snap->rec, 2, &len);
	ASSERT_NE(NULL, text);
	ASSERT_STREQ("", aggregate_parse(text, len, &snap->agg));
}

static void __maybe_unused snapshot_take(struct __test_metadata *_metadata,
					 struct snapshot *snap)
{
	snap->fd = snapshot_open();
	ASSERT_LE(0, snap->fd) {
		TH_LOG("open of the snapshot: %s", strerror(errno));
	}
	snapshot_load(_metadata, snap);
}

static void __maybe_unused snapshot_close(struct __test_metadata *_metadata,
					  struct snapshot *snap)
{
	ASSERT_EQ(0, close(snap->fd));
	log_free(&snap->segment);
	log_free(&snap->list);
}

/* A snapshot with its purge: the list then begins with an aggregate. */
static void __maybe_unused purge_all(struct __test_metadata *_metadata)
{
	struct snapshot snap = {};

	snapshot_take(_metadata, &snap);
	ASSERT_EQ(1, write(snap.fd, "1", 1));
	snapshot_close(_metadata, &snap);
}

#endif /* _SELFTESTS_IMA_COMMON_H */
