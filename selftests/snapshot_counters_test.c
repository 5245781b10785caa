// SPDX-License-Identifier: GPL-2.0-only
/*
 * The counters beside the measurement lists
 */

#include "common.h"

static const char *const counters[] = {
	"snapshot_attempts",
	"snapshot_purges",
	"runtime_measurements_total",
	"runtime_measurements_size",
};

FIXTURE(counters)
{
	struct snapshot snap;
};

FIXTURE_SETUP(counters)
{
	setup_ima(_metadata);
}

FIXTURE_TEARDOWN(counters)
{
}

TEST_F(counters, modes_of_files)
{
	for (size_t i = 0; i < ARRAY_SIZE(counters); i++) {
		char path[128];
		struct stat st;

		snprintf(path, sizeof(path), IMA_DIR "%s", counters[i]);
		ASSERT_EQ(0, stat(path, &st));
		EXPECT_EQ(S_IFREG | 0440, st.st_mode);
		EXPECT_EQ(0, st.st_uid);
		EXPECT_EQ(0, st.st_gid);
	}
}

TEST_F(counters, cannot_be_written)
{
	for (size_t i = 0; i < ARRAY_SIZE(counters); i++) {
		long val = counter(counters[i]);
		char path[128];
		int fd;

		ASSERT_LE(0, val);
		snprintf(path, sizeof(path), IMA_DIR "%s", counters[i]);
		/* The mode says no, which root may ignore. */
		fd = open(path, O_WRONLY | O_CLOEXEC);
		ASSERT_LE(0, fd);
		EXPECT_EQ(-1, write(fd, "0\n", 2));
		EXPECT_EQ(EINVAL, errno);
		EXPECT_EQ(0, close(fd));
		EXPECT_LE(val, counter(counters[i]));
	}
}

TEST_F(counters, are_not_for_everyone)
{
	pid_t child = fork_child();

	ASSERT_LE(0, child);
	if (!child) {
		ASSERT_EQ(0, setresgid(MEASURED_UID, MEASURED_UID,
				       MEASURED_UID));
		ASSERT_EQ(0, setresuid(MEASURED_UID, MEASURED_UID,
				       MEASURED_UID));
		for (size_t i = 0; i < ARRAY_SIZE(counters); i++) {
			char path[128];

			snprintf(path, sizeof(path), IMA_DIR "%s",
				 counters[i]);
			EXPECT_EQ(-1, open(path, O_RDONLY));
			EXPECT_EQ(EACCES, errno);
		}
		_exit(_metadata->exit_code);
	}
	EXPECT_EQ(0, exit_status(child));
}

/* What the counters and the lists say, all at one moment. */
struct moment {
	long total;
	long count;
	long size;
	/* Records measured that are on neither list. */
	long removed;
	long staged;
};

#define TRIES 1000

/* Reads it until no record was measured meanwhile. */
static void get_moment(struct __test_metadata *_metadata, struct moment *now)
{
	struct ima_log list = {}, staged = {};
	bool steady = false;

	for (int i = 0; i < TRIES && !steady; i++) {
		now->total = counter("runtime_measurements_total");
		ASSERT_LT(0, now->total);
		ASSERT_STREQ("", log_read(BINARY_LIST, &list));
		if (!access(BINARY_STAGED, F_OK))
			ASSERT_STREQ("", log_read(BINARY_STAGED, &staged));
		now->count = counter("runtime_measurements_count");
		now->size = counter("runtime_measurements_size");
		steady = now->total == counter("runtime_measurements_total");
	}
	ASSERT_TRUE(steady) {
		TH_LOG("records are measured all the time");
	}
	now->staged = staged.count;
	now->removed = now->total - list.count - staged.count;

	/* Both are about the list, which staged records are not on. */
	EXPECT_EQ(list.len, now->size);
	EXPECT_EQ(list.count, now->count);
	log_free(&list);
	log_free(&staged);
}

/* Size and count are those of the list, and so many records were removed. */
static void expect_removed(struct __test_metadata *_metadata, long removed)
{
	struct moment now;

	get_moment(_metadata, &now);
	EXPECT_EQ(removed, now.removed);
}

TEST_F(counters, size_and_count_are_those_of_the_list)
{
	struct snapshot *snap = &self->snap;
	struct moment now;

	get_moment(_metadata, &now);
	ASSERT_EQ(0, measure_many(17));
	expect_removed(_metadata, now.removed);
	snapshot_take(_metadata, snap);
	expect_removed(_metadata, now.removed);
	ASSERT_EQ(0, measure_many(3));
	expect_removed(_metadata, now.removed);
	ASSERT_EQ(1, write(snap->fd, "1", 1));
	now.removed += snap->segment.count;
	expect_removed(_metadata, now.removed);
	ASSERT_EQ(0, measure_many(3));
	expect_removed(_metadata, now.removed);
	snapshot_close(_metadata, snap);
	expect_removed(_metadata, now.removed);
}

TEST_F(counters, size_is_right_with_custom_template)
{
	struct ima_log list = {};
	struct moment now;
	size_t custom = 0;

	if (!on_command_line("ima_template_fmt="))
		SKIP(return, "no ima_template_fmt= on the command line");
	ASSERT_EQ(0, measure_many(3));
	ASSERT_STREQ("", log_read(BINARY_LIST, &list));
	for (size_t i = 0; i < list.count; i++)
		custom += !!memchr(list.rec[i].name, '|', list.rec[i].name_len);
	ASSERT_LE(3, custom);
	get_moment(_metadata, &now);

	/* What is taken off is what was added. */
	purge_all(_metadata);
	get_moment(_metadata, &now);
}

TEST_F(counters, size_and_total_over_staging)
{
	struct moment before, staged;

	if (access(BINARY_STAGED, F_OK))
		SKIP(return, "this kernel has no %s", BINARY_STAGED);
	ASSERT_EQ(0, measure_many(5));
	get_moment(_metadata, &before);
	ASSERT_EQ(0, before.staged);
	ASSERT_EQ(0, list_write(BINARY_STAGED, "A\n"));
	get_moment(_metadata, &staged);
	EXPECT_LE(before.count, staged.staged);
	EXPECT_EQ(before.removed, staged.removed);
	ASSERT_EQ(0, measure_many(5));
	ASSERT_EQ(0, list_write(BINARY_STAGED, "D\n"));
	expect_removed(_metadata, before.removed + staged.staged);

	if (on_command_line("ima_flush_htable"))
		return;
	ASSERT_EQ(0, list_write(BINARY_LIST, "2\n"));
	expect_removed(_metadata, before.removed + staged.staged + 2);
}

TEST_F(counters, survive_the_staging_of_the_aggregate)
{
	struct snapshot *snap = &self->snap;
	struct aggregate first;
	long purges, total;

	if (access(BINARY_STAGED, F_OK))
		SKIP(return, "this kernel has no %s", BINARY_STAGED);
	snapshot_take(_metadata, snap);
	first = snap->agg;
	snapshot_close(_metadata, snap);
	purges = counter("snapshot_purges");
	total = counter("runtime_measurements_total");

	/* No aggregate is in memory any more. */
	ASSERT_EQ(0, list_write(BINARY_STAGED, "A\n"));
	ASSERT_EQ(0, measure_many(5));
	ASSERT_EQ(0, list_write(BINARY_STAGED, "D\n"));
	EXPECT_EQ(first.attempt, counter("snapshot_attempts"));
	EXPECT_EQ(purges, counter("snapshot_purges"));
	EXPECT_LE(total + 5, counter("runtime_measurements_total"));
	snapshot_take(_metadata, snap);
	EXPECT_EQ(first.attempt + 1, snap->agg.attempt);
	EXPECT_LE(total + 5, snap->agg.record_count);
	snapshot_close(_metadata, snap);
}

TEST_F(counters, total_never_falls)
{
	struct snapshot *snap = &self->snap;
	struct moment before, after;

	get_moment(_metadata, &before);
	ASSERT_EQ(0, measure_many(11));
	get_moment(_metadata, &after);
	EXPECT_LE(before.total + 11, after.total);
	EXPECT_EQ(before.removed, after.removed);

	snapshot_take(_metadata, snap);
	get_moment(_metadata, &before);
	EXPECT_LE(after.total + 1, before.total);
	EXPECT_EQ(after.removed, before.removed);
	ASSERT_EQ(1, write(snap->fd, "1", 1));
	get_moment(_metadata, &after);
	EXPECT_LE(before.total, after.total);
	EXPECT_EQ(before.removed + snap->segment.count, after.removed);
	snapshot_close(_metadata, snap);

	ASSERT_EQ(0, measure_many(2));
	get_moment(_metadata, &before);
	EXPECT_LE(after.total + 2, before.total);
	EXPECT_EQ(after.removed, before.removed);
}

TEST_F(counters, attempts_and_purges)
{
	long attempts = counter("snapshot_attempts");
	long purges = counter("snapshot_purges");
	struct snapshot *snap = &self->snap;

	ASSERT_LE(0, attempts);
	ASSERT_LE(0, purges);
	snapshot_take(_metadata, snap);
	EXPECT_EQ(attempts + 1, counter("snapshot_attempts"));
	EXPECT_EQ(purges, counter("snapshot_purges"));
	EXPECT_EQ(-1, snapshot_open());
	snapshot_close(_metadata, snap);
	EXPECT_EQ(attempts + 1, counter("snapshot_attempts"));
	EXPECT_EQ(purges, counter("snapshot_purges"));

	snapshot_take(_metadata, snap);
	ASSERT_EQ(1, write(snap->fd, "1", 1));
	EXPECT_EQ(purges + 1, counter("snapshot_purges"));
	EXPECT_EQ(-1, write(snap->fd, "1", 1));
	snapshot_close(_metadata, snap);
	EXPECT_EQ(attempts + 2, counter("snapshot_attempts"));
	EXPECT_EQ(purges + 1, counter("snapshot_purges"));
}

int main(int argc, char **argv)
{
	require_file(SNAPSHOT);
	require_ima();
	return test_harness_run(argc, argv);
}
