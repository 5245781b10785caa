// SPDX-License-Identifier: GPL-2.0-only
/*
 * The counters beside the measurement lists, and which files there are
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
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd >= 0) {
			EXPECT_EQ(-1, write(fd, "0\n", 2));
			EXPECT_EQ(EINVAL, errno);
			EXPECT_EQ(0, close(fd));
		}
		EXPECT_EQ(val, counter(counters[i]));
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

/* What a list of this many bytes and records must be told as. */
static void expect_list_told(struct __test_metadata *_metadata)
{
	struct ima_log list = {};

	ASSERT_STREQ("", log_read(BINARY_LIST, &list));
	EXPECT_EQ(list.len, counter("runtime_measurements_size"));
	EXPECT_EQ(list.count, counter("runtime_measurements_count"));
	log_free(&list);
}

TEST_F(counters, size_and_count_tell_the_list)
{
	struct snapshot *snap = &self->snap;

	expect_list_told(_metadata);
	ASSERT_EQ(0, measure_many(17));
	expect_list_told(_metadata);
	snapshot_take(_metadata, snap);
	expect_list_told(_metadata);
	ASSERT_EQ(0, measure_many(3));
	expect_list_told(_metadata);
	ASSERT_EQ(1, write(snap->fd, "1", 1));
	expect_list_told(_metadata);
	ASSERT_EQ(0, measure_many(3));
	expect_list_told(_metadata);
	snapshot_close(_metadata, snap);
	expect_list_told(_metadata);
}

TEST_F(counters, size_holds_with_custom_template)
{
	struct ima_log list = {};
	size_t custom = 0;

	if (!on_command_line("ima_template_fmt="))
		SKIP(return, "no ima_template_fmt= on the command line");
	ASSERT_EQ(0, measure_many(3));
	ASSERT_STREQ("", log_read(BINARY_LIST, &list));
	for (size_t i = 0; i < list.count; i++)
		custom += !!memchr(list.rec[i].name, '|', list.rec[i].name_len);
	ASSERT_LE(3, custom);
	expect_list_told(_metadata);

	/* What is taken off is what was added. */
	purge_all(_metadata);
	expect_list_told(_metadata);
}

TEST_F(counters, size_and_total_over_staging)
{
	struct ima_log list = {};
	long total;

	if (access(BINARY_STAGED, F_OK))
		SKIP(return, "this kernel has no %s", BINARY_STAGED);
	ASSERT_EQ(0, measure_many(5));
	total = counter("runtime_measurements_total");
	ASSERT_EQ(0, list_write(BINARY_STAGED, "A\n"));
	EXPECT_EQ(total, counter("runtime_measurements_total"));
	ASSERT_EQ(0, measure_many(5));
	ASSERT_EQ(0, list_write(BINARY_STAGED, "D\n"));
	EXPECT_EQ(total + 5, counter("runtime_measurements_total"));
	expect_list_told(_metadata);

	if (on_command_line("ima_flush_htable"))
		return;
	ASSERT_EQ(0, list_write(BINARY_LIST, "2\n"));
	EXPECT_EQ(total + 5, counter("runtime_measurements_total"));
	expect_list_told(_metadata);
	ASSERT_STREQ("", log_read(BINARY_LIST, &list));
	EXPECT_EQ(3, list.count);
}

TEST_F(counters, total_never_falls)
{
	long total = counter("runtime_measurements_total");
	struct snapshot *snap = &self->snap;

	ASSERT_LE(0, total);
	ASSERT_EQ(0, measure_many(11));
	EXPECT_EQ(total + 11, counter("runtime_measurements_total"));
	snapshot_take(_metadata, snap);
	EXPECT_EQ(total + 12, counter("runtime_measurements_total"));
	ASSERT_EQ(1, write(snap->fd, "1", 1));
	EXPECT_EQ(total + 12, counter("runtime_measurements_total"));
	snapshot_close(_metadata, snap);
	EXPECT_EQ(total + 12, counter("runtime_measurements_total"));
	ASSERT_EQ(0, measure_many(2));
	EXPECT_EQ(total + 14, counter("runtime_measurements_total"));
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

FIXTURE(files)
{
	bool there;
};

FIXTURE_SETUP(files)
{
	setup_ima(_metadata);
	self->there = !access(SNAPSHOT, F_OK);
}

FIXTURE_TEARDOWN(files)
{
}

TEST_F(files, are_there_together_or_not_at_all)
{
	for (size_t i = 0; i < ARRAY_SIZE(counters); i++) {
		char path[128];

		snprintf(path, sizeof(path), IMA_DIR "%s", counters[i]);
		EXPECT_EQ(self->there, !access(path, F_OK)) {
			TH_LOG("%s", path);
		}
	}
}

TEST_F(files, are_there_as_configured)
{
	bool read = false, configured = false;
	char line[256];
	FILE *config;

	if (access("/proc/config.gz", F_OK))
		SKIP(return, "no /proc/config.gz");
	config = popen("zcat /proc/config.gz", "re");
	ASSERT_NE(NULL, config);
	while (fgets(line, sizeof(line), config)) {
		read |= !strcmp(line, "CONFIG_IMA=y\n");
		configured |= !strcmp(line, "CONFIG_IMA_SNAPSHOT=y\n");
	}
	pclose(config);
	if (!read)
		SKIP(return, "cannot read /proc/config.gz");
	EXPECT_EQ(configured, self->there);
}

int main(int argc, char **argv)
{
	require_file(SNAPSHOT);
	require_ima();
	return test_harness_run(argc, argv);
}
