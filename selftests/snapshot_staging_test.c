// SPDX-License-Identifier: GPL-2.0-only
/*
 * The snapshot and the staging of measurements keep out of each other's way
 */

#include "common.h"

FIXTURE(staging)
{
	struct snapshot snap;
};

static void setup_staging(struct __test_metadata *_metadata)
{
	setup_ima(_metadata);
	ASSERT_EQ(0, measure_many(10));
}

FIXTURE_SETUP(staging)
{
	setup_staging(_metadata);
}

FIXTURE_TEARDOWN(staging)
{
}

FIXTURE(snapshot_open)
{
	struct snapshot snap;
};

enum stage {
	OPENED,
	READ,
	PURGED,
};

FIXTURE_VARIANT(snapshot_open)
{
	enum stage stage;
};

FIXTURE_VARIANT_ADD(snapshot_open, not_read) {
	.stage = OPENED,
};

FIXTURE_VARIANT_ADD(snapshot_open, all_read) {
	.stage = READ,
};

FIXTURE_VARIANT_ADD(snapshot_open, purged) {
	.stage = PURGED,
};

FIXTURE_SETUP(snapshot_open)
{
	setup_staging(_metadata);
}

FIXTURE_TEARDOWN(snapshot_open)
{
}

static void expect_busy(struct __test_metadata *_metadata, const char *path,
			const char *request)
{
	struct ima_log staged = {};
	struct state before = {};

	state_get(_metadata, &before);
	EXPECT_EQ(-1, list_write(path, request));
	EXPECT_EQ(EBUSY, errno) {
		TH_LOG("%c to %s: %s", request[0], path, strerror(errno));
	}
	expect_unchanged(_metadata, &before);
	ASSERT_STREQ("", log_read(BINARY_STAGED, &staged));
	EXPECT_EQ(0, staged.count);
	log_free(&before.log);
	log_free(&staged);
}

TEST_F(snapshot_open, refuses_staging_and_deleting)
{
	static const char *const lists[] = {
		BINARY_LIST, ASCII_LIST, BINARY_STAGED, ASCII_STAGED
	};
	struct snapshot *snap = &self->snap;

	snap->fd = snapshot_open();
	ASSERT_LE(0, snap->fd);
	if (variant->stage >= READ)
		snapshot_load(_metadata, snap);
	if (variant->stage == PURGED)
		ASSERT_EQ(1, write(snap->fd, "1", 1));

	expect_busy(_metadata, BINARY_STAGED, "A\n");
	expect_busy(_metadata, ASCII_STAGED, "A\n");
	expect_busy(_metadata, BINARY_STAGED, "D\n");
	expect_busy(_metadata, ASCII_STAGED, "D\n");
	if (!on_command_line("ima_flush_htable")) {
		expect_busy(_metadata, BINARY_LIST, "1\n");
		expect_busy(_metadata, ASCII_LIST, "1\n");
	}

	/* Nor does anybody get to read what he would delete later. */
	for (int i = 0; i < 4; i++) {
		EXPECT_EQ(-1, open(lists[i], O_RDWR));
		EXPECT_EQ(EBUSY, errno);
	}

	/* A snapshot that was refused leaves the first one in their way. */
	EXPECT_EQ(-1, snapshot_open());
	EXPECT_EQ(EBUSY, errno);
	EXPECT_EQ(-1, open(BINARY_LIST, O_RDWR));
	EXPECT_EQ(EBUSY, errno);
	snapshot_close(_metadata, snap);

	/* And the snapshot closed, it works. */
	EXPECT_EQ(0, list_write(BINARY_STAGED, "A\n"));
	EXPECT_EQ(0, list_write(BINARY_STAGED, "D\n"));
}

FIXTURE(stager)
{
};

FIXTURE_VARIANT(stager)
{
	const char *path;
	int flags;
};

FIXTURE_VARIANT_ADD(stager, of_binary_list) {
	.path = BINARY_LIST,
	.flags = O_RDWR,
};

FIXTURE_VARIANT_ADD(stager, of_ascii_list) {
	.path = ASCII_LIST,
	.flags = O_WRONLY,
};

FIXTURE_VARIANT_ADD(stager, of_staged_binary_list) {
	.path = BINARY_STAGED,
	.flags = O_RDWR,
};

FIXTURE_VARIANT_ADD(stager, of_staged_ascii_list) {
	.path = ASCII_STAGED,
	.flags = O_WRONLY,
};

FIXTURE_SETUP(stager)
{
	setup_staging(_metadata);
}

FIXTURE_TEARDOWN(stager)
{
}

TEST_F(stager, refuses_snapshot)
{
	struct state before = {};
	pid_t child;
	int fd;

	state_get(_metadata, &before);
	fd = open(variant->path, variant->flags | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-1, snapshot_open());
	EXPECT_EQ(EBUSY, errno);

	/* It is the open file that counts, not the task. */
	child = fork_child();
	ASSERT_LE(0, child);
	if (!child) {
		close(fd);
		EXPECT_EQ(-1, snapshot_open());
		EXPECT_EQ(EBUSY, errno);
		_exit(_metadata->exit_code);
	}
	EXPECT_EQ(0, exit_status(child));
	ASSERT_EQ(0, close(fd));
	expect_unchanged(_metadata, &before);

	fd = snapshot_open();
	EXPECT_LE(0, fd);
	EXPECT_EQ(0, close(fd));
}

TEST_F(staging, reader_lets_snapshot_in)
{
	int fd[2];

	fd[0] = open(BINARY_LIST, O_RDONLY | O_CLOEXEC);
	fd[1] = open(BINARY_STAGED, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd[0]);
	ASSERT_LE(0, fd[1]);
	purge_all(_metadata);
	EXPECT_EQ(0, close(fd[0]));
	EXPECT_EQ(0, close(fd[1]));
	EXPECT_EQ(0, list_write(BINARY_STAGED, "A\n"));
	EXPECT_EQ(0, list_write(BINARY_STAGED, "D\n"));
}

/* Takes a snapshot with its purge, if it is let. */
static void try_purge(struct __test_metadata *_metadata)
{
	struct snapshot snap = { .fd = snapshot_open() };
	struct ima_log segment = {};

	if (snap.fd < 0)
		return;
	EXPECT_EQ(0, read_rest(snap.fd, 1 << 16, &segment));
	EXPECT_EQ(1, write(snap.fd, "1", 1));
	EXPECT_EQ(0, close(snap.fd));
	log_free(&segment);
}

TEST_F(staging, deletes_what_was_read)
{
	struct ima_log read = {}, after = {};
	char request[24];
	size_t n;
	int fd;

	if (on_command_line("ima_flush_htable"))
		SKIP(return, "ima_flush_htable rules out deleting N records");
	purge_all(_metadata);
	ASSERT_EQ(0, measure_many(10));
	fd = open(BINARY_LIST, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, read_rest(fd, 1 << 16, &read));
	ASSERT_STREQ("", log_parse(&read, SHA1_SIZE));
	n = read.count;
	ASSERT_LE(11, n);

	/* The first N records stay those that were read. */
	try_purge(_metadata);
	ASSERT_EQ(0, measure_many(n));
	snprintf(request, sizeof(request), "%zu\n", n - 1);
	ASSERT_EQ(strlen(request), write(fd, request, strlen(request)));
	ASSERT_EQ(0, close(fd));

	ASSERT_STREQ("", log_read(BINARY_LIST, &after));
	EXPECT_LE(n + 1, after.count);
	EXPECT_EQ(0, log_count_name(&after, 0, "snapshot_aggregate"));
	EXPECT_EQ(read.rec[n - 1].len, after.rec[0].len);
	EXPECT_EQ(0, memcmp(read.bytes + read.rec[n - 1].offset, after.bytes,
			    read.rec[n - 1].len));
}

TEST_F(staging, pending_refuses_snapshot)
{
	struct ima_log staged = {}, staged_after = {};
	struct state before = {};

	ASSERT_EQ(0, list_write(BINARY_STAGED, "A\n"));
	ASSERT_EQ(0, measure_many(5));
	state_get(_metadata, &before);
	ASSERT_STREQ("", log_read(BINARY_STAGED, &staged));
	EXPECT_LE(10, staged.count);
	EXPECT_EQ(-1, snapshot_open());
	EXPECT_EQ(EBUSY, errno);
	expect_unchanged(_metadata, &before);
	ASSERT_STREQ("", log_read(BINARY_STAGED, &staged_after));
	EXPECT_EQ(staged.len, staged_after.len);
	EXPECT_TRUE(log_is_prefix(&staged, &staged_after));

	/* The refusal does not prevent the deletion. */
	ASSERT_EQ(0, list_write(BINARY_STAGED, "D\n"));
	snapshot_take(_metadata, &self->snap);
	EXPECT_EQ(before.attempts + 1, self->snap.agg.attempt);
	snapshot_close(_metadata, &self->snap);
}

TEST_F(staging, deleted_records_are_counted)
{
	struct snapshot *snap = &self->snap;
	struct ima_log list = {}, staged = {};
	unsigned long count;
	size_t before;

	snapshot_take(_metadata, snap);
	count = snap->agg.record_count;
	before = snap->segment.count;
	snapshot_close(_metadata, snap);

	ASSERT_EQ(0, list_write(BINARY_STAGED, "A\n"));
	ASSERT_STREQ("", log_read(BINARY_STAGED, &staged));
	ASSERT_LT(before, staged.count);
	ASSERT_EQ(0, measure_many(5));
	ASSERT_EQ(0, list_write(BINARY_STAGED, "D\n"));
	ASSERT_STREQ("", log_read(BINARY_LIST, &list));
	snapshot_take(_metadata, snap);
	EXPECT_TRUE(log_is_prefix(&list, &snap->segment));
	/* The other aggregate and what followed it, deleted or not. */
	count += staged.count - before + snap->segment.count;
	EXPECT_EQ(count, snap->agg.record_count);
	before = snap->segment.count;
	snapshot_close(_metadata, snap);

	if (on_command_line("ima_flush_htable"))
		return;
	ASSERT_EQ(0, list_write(BINARY_LIST, "3\n"));
	ASSERT_STREQ("", log_read(BINARY_LIST, &list));
	snapshot_take(_metadata, snap);
	EXPECT_TRUE(log_is_prefix(&list, &snap->segment));
	EXPECT_EQ(count - before + 3 + snap->segment.count,
		  snap->agg.record_count);
	snapshot_close(_metadata, snap);
}

TEST_F(staging, staged_records_purge_cleanly)
{
	/* Deleted records may still be in the hash table: it survives both. */
	static const char *const path[] = { WORK_DIR "/staged" };
	struct ima_log list = {};

	purge_all(_metadata);
	ASSERT_EQ(0, measure_same(path, 1));
	ASSERT_EQ(0, list_write(BINARY_STAGED, "A\n"));
	ASSERT_EQ(0, list_write(BINARY_STAGED, "D\n"));
	ASSERT_EQ(0, measure_many(5));
	purge_all(_metadata);
	ASSERT_EQ(0, measure_same(path, 1));
	ASSERT_EQ(0, measure_many(5));
	purge_all(_metadata);
	ASSERT_EQ(0, measure_same(path, 1));
	ASSERT_STREQ("", log_read(BINARY_LIST, &list));
	EXPECT_TRUE(record_has_name(&list.rec[0], "snapshot_aggregate"));
	EXPECT_GE(1, log_count_name(&list, 0, path[0]));
	for (size_t i = 0; i < list.count; i++)
		EXPECT_TRUE(record_digest_is_right(&list.rec[i]));
}

int main(int argc, char **argv)
{
	require_file(SNAPSHOT);
	require_file(BINARY_STAGED);
	require_ima();
	return test_harness_run(argc, argv);
}
