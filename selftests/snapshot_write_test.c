// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a write to the snapshot purges, and when it purges nothing
 */

#include "common.h"

FIXTURE(write)
{
	struct snapshot snap;
};

FIXTURE_SETUP(write)
{
	setup_ima(_metadata);
	ASSERT_EQ(0, measure_many(60));
}

FIXTURE_TEARDOWN(write)
{
}

static void expect_refused(struct __test_metadata *_metadata, int fd,
			   int error)
{
	struct state before = {};

	state_get(_metadata, &before);
	EXPECT_EQ(-1, write(fd, "1", 1));
	EXPECT_EQ(error, errno);
	EXPECT_EQ(-1, write(fd, "purge it", 8));
	EXPECT_EQ(error, errno);
	expect_unchanged(_metadata, &before);
	log_free(&before.log);
}

/* The segment of an open snapshot is still there, and can be purged now. */
static void expect_purge_works(struct __test_metadata *_metadata,
			       struct snapshot *snap)
{
	long purges = counter("snapshot_purges");

	snapshot_load(_metadata, snap);
	EXPECT_EQ(1, write(snap->fd, "1", 1));
	EXPECT_EQ(purges + 1, counter("snapshot_purges"));
	snapshot_close(_metadata, snap);
}

TEST_F(write, purges_records_before_aggregate)
{
	struct snapshot *snap = &self->snap;
	long purges = counter("snapshot_purges");
	struct ima_log whole = {}, after = {};
	size_t kept;

	snapshot_take(_metadata, snap);
	ASSERT_EQ(0, measure_many(9));
	ASSERT_STREQ("", log_read(BINARY_LIST, &whole));
	EXPECT_EQ(1, write(snap->fd, "1", 1));
	EXPECT_EQ(purges + 1, counter("snapshot_purges"));

	/* The list begins with the aggregate; what follows it is as it was. */
	ASSERT_STREQ("", log_read(BINARY_LIST, &after));
	kept = whole.len - snap->segment.len;
	ASSERT_LE(kept, after.len);
	EXPECT_EQ(0, memcmp(whole.bytes + snap->segment.len, after.bytes,
			    kept));
	EXPECT_EQ(snap->rec->len, after.rec[0].len);

	/* Closing it changes nothing more. */
	snapshot_close(_metadata, snap);
	ASSERT_STREQ("", log_read(BINARY_LIST, &whole));
	EXPECT_TRUE(log_is_prefix(&after, &whole));
	EXPECT_EQ(purges + 1, counter("snapshot_purges"));
}

TEST_F(write, returns_count_written)
{
	char much[5000];

	memset(much, 'x', sizeof(much));
	snapshot_take(_metadata, &self->snap);
	EXPECT_EQ(sizeof(much), write(self->snap.fd, much, sizeof(much)));
	snapshot_close(_metadata, &self->snap);

	snapshot_take(_metadata, &self->snap);
	EXPECT_EQ(2, write(self->snap.fd, "1\n", 2));
	snapshot_close(_metadata, &self->snap);
}

TEST_F(write, then_nothing_is_left_to_read)
{
	struct snapshot *snap = &self->snap;
	char buf[4096];

	snapshot_take(_metadata, snap);
	ASSERT_EQ(1, write(snap->fd, "1", 1));
	EXPECT_EQ(0, read(snap->fd, buf, sizeof(buf)));
	EXPECT_EQ(0, pread(snap->fd, buf, sizeof(buf), 0));
	EXPECT_EQ(0, pread(snap->fd, buf, 1, snap->segment.len / 2));
	EXPECT_LE(0, lseek(snap->fd, 0, SEEK_SET));
	EXPECT_EQ(0, read(snap->fd, buf, sizeof(buf)));
	ASSERT_EQ(0, measure_many(3));
	EXPECT_EQ(0, read(snap->fd, buf, sizeof(buf)));
	snapshot_close(_metadata, snap);
}

TEST_F(write, keeps_snapshot_exclusive_until_close)
{
	struct snapshot *snap = &self->snap;
	struct state before = {};

	snapshot_take(_metadata, snap);
	ASSERT_EQ(1, write(snap->fd, "1", 1));
	state_get(_metadata, &before);
	EXPECT_EQ(-1, snapshot_open());
	EXPECT_EQ(EBUSY, errno);
	expect_unchanged(_metadata, &before);
	snapshot_close(_metadata, snap);
	snapshot_take(_metadata, snap);
	snapshot_close(_metadata, snap);
}

TEST_F(write, second_is_refused)
{
	struct snapshot *snap = &self->snap;

	snapshot_take(_metadata, snap);
	ASSERT_EQ(1, write(snap->fd, "1", 1));
	ASSERT_EQ(0, measure_many(3));
	expect_refused(_metadata, snap->fd, EALREADY);
	snapshot_close(_metadata, snap);
}

TEST_F(write, of_zero_bytes_purges_nothing)
{
	struct snapshot *snap = &self->snap;
	struct state before = {};

	/* Nor does it ask for anything: not that all was read, */
	snap->fd = snapshot_open();
	ASSERT_LE(0, snap->fd);
	state_get(_metadata, &before);
	EXPECT_EQ(0, write(snap->fd, "", 0));
	snapshot_load(_metadata, snap);
	EXPECT_EQ(0, write(snap->fd, "", 0));

	/* not for a capability, */
	ASSERT_EQ(0, set_sys_admin(false));
	EXPECT_EQ(0, write(snap->fd, "", 0));
	ASSERT_EQ(0, set_sys_admin(true));
	expect_unchanged(_metadata, &before);

	/* and it is not the one write there may be. */
	expect_purge_works(_metadata, snap);
	snapshot_take(_metadata, snap);
	ASSERT_EQ(1, write(snap->fd, "1", 1));
	log_free(&before.log);
	state_get(_metadata, &before);
	EXPECT_EQ(0, write(snap->fd, "", 0));
	expect_unchanged(_metadata, &before);
	snapshot_close(_metadata, snap);
}

TEST_F(write, from_bad_memory)
{
	struct snapshot *snap = &self->snap;
	struct state before = {};
	void *bad = no_memory();

	snap->fd = snapshot_open();
	ASSERT_LE(0, snap->fd);
	snapshot_load(_metadata, snap);
	state_get(_metadata, &before);
	ASSERT_NE(NULL, bad);
	EXPECT_EQ(-1, write(snap->fd, bad, 1));
	EXPECT_EQ(EFAULT, errno);
	expect_unchanged(_metadata, &before);
	expect_purge_works(_metadata, snap);
}

TEST_F(write, before_any_read)
{
	self->snap.fd = snapshot_open();
	ASSERT_LE(0, self->snap.fd);
	expect_refused(_metadata, self->snap.fd, EPROTO);
	expect_purge_works(_metadata, &self->snap);
}

TEST_F(write, before_end_was_read)
{
	struct ima_log log = {};
	int fd = snapshot_open();
	size_t boundary;
	char c[1024];

	self->snap.fd = fd;
	ASSERT_LE(0, fd);
	ASSERT_LT(0, read(fd, c, sizeof(c)));
	expect_refused(_metadata, fd, EPROTO);

	/* All but the last byte. */
	ASSERT_STREQ("", log_read(BINARY_LIST, &log));
	for (boundary = log.count; boundary--;) {
		if (record_has_name(&log.rec[boundary], "snapshot_aggregate"))
			break;
	}
	ASSERT_EQ(0, lseek(fd, 0, SEEK_SET));
	for (size_t left = log.rec[boundary].offset - 1; left;) {
		ssize_t n = read(fd, c, left < sizeof(c) ? left : sizeof(c));

		ASSERT_LT(0, n);
		left -= n;
	}
	expect_refused(_metadata, fd, EPROTO);

	/* And that byte, without asking for what does not follow. */
	ASSERT_EQ(1, read(fd, c, 1));
	EXPECT_EQ(1, write(fd, "1", 1));
	EXPECT_EQ(0, close(fd));
}

TEST_F(write, after_reading_the_tail_only)
{
	struct ima_log log = {};
	int fd = snapshot_open();

	self->snap.fd = fd;
	ASSERT_LE(0, fd);
	ASSERT_LE(0, lseek(fd, 1, SEEK_SET));
	ASSERT_EQ(0, read_rest(fd, 4096, &log));
	ASSERT_LT(0, log.len);
	expect_refused(_metadata, fd, EPROTO);

	/* Reading nothing but the end of file is not reading either. */
	expect_refused(_metadata, fd, EPROTO);
	expect_purge_works(_metadata, &self->snap);
}

TEST_F(write, after_reading_with_a_hole)
{
	struct ima_log log = {};
	int fd = snapshot_open();
	char c[500];

	self->snap.fd = fd;
	ASSERT_LE(0, fd);
	ASSERT_EQ(sizeof(c), read(fd, c, sizeof(c)));
	ASSERT_LE(0, lseek(fd, sizeof(c) + 1, SEEK_SET));
	ASSERT_EQ(0, read_rest(fd, 4096, &log));
	ASSERT_LT(0, log.len);
	expect_refused(_metadata, fd, EPROTO);

	/* The same with pread(). */
	for (size_t pos = 0; pread(fd, c, sizeof(c), pos) > 0;)
		pos += sizeof(c) + 1;
	expect_refused(_metadata, fd, EPROTO);
	expect_purge_works(_metadata, &self->snap);
}

TEST_F(write, after_reading_into_bad_memory)
{
	struct ima_log log = {};
	int fd = snapshot_open();
	char *page;

	/* Bytes that could not be handed over were not read. */
	page = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, page);
	ASSERT_EQ(0, mprotect(page + 4096, 4096, PROT_NONE));

	self->snap.fd = fd;
	ASSERT_LE(0, fd);
	EXPECT_EQ(-1, read(fd, page + 4096, 4096));
	EXPECT_EQ(EFAULT, errno);
	expect_refused(_metadata, fd, EPROTO);
	ASSERT_GT(4096, read(fd, page + 4000, 4096));
	ASSERT_LE(0, lseek(fd, 4096, SEEK_SET));
	ASSERT_EQ(0, read_rest(fd, 4096, &log));
	expect_refused(_metadata, fd, EPROTO);
	expect_purge_works(_metadata, &self->snap);
}

TEST_F(write, after_reading_parts_again)
{
	struct ima_log log = {};
	int fd = snapshot_open();
	char c[500];

	ASSERT_LE(0, fd);
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, lseek(fd, 0, SEEK_SET));
		ASSERT_EQ(sizeof(c), read(fd, c, sizeof(c)));
	}
	ASSERT_EQ(100, lseek(fd, 100, SEEK_SET));
	ASSERT_EQ(0, read_rest(fd, 333, &log));
	ASSERT_EQ(0, lseek(fd, 0, SEEK_SET));
	ASSERT_EQ(sizeof(c), read(fd, c, sizeof(c)));
	EXPECT_EQ(1, write(fd, "1", 1));
	EXPECT_EQ(0, close(fd));
}

TEST_F(write, read_by_another_description)
{
	struct ima_log log = {};
	int fd;

	/* What was read in an earlier snapshot counts for nothing here, */
	snapshot_take(_metadata, &self->snap);
	snapshot_close(_metadata, &self->snap);
	fd = snapshot_open();
	ASSERT_LE(0, fd);
	expect_refused(_metadata, fd, EPROTO);

	/* nor what was read in the ordinary list. */
	ASSERT_STREQ("", log_read(BINARY_LIST, &log));
	expect_refused(_metadata, fd, EPROTO);
	self->snap.fd = fd;
	expect_purge_works(_metadata, &self->snap);
}

TEST_F(write, without_cap_sys_admin)
{
	struct snapshot *snap = &self->snap;

	/* Dropped between open and write: the writer's is what counts. */
	snap->fd = snapshot_open();
	ASSERT_LE(0, snap->fd);
	ASSERT_EQ(0, set_sys_admin(false));
	expect_refused(_metadata, snap->fd, EPERM);
	snapshot_load(_metadata, snap);
	expect_refused(_metadata, snap->fd, EPERM);
	ASSERT_EQ(0, set_sys_admin(true));
	expect_purge_works(_metadata, snap);
}

TEST_F(write, by_unprivileged_child)
{
	struct snapshot *snap = &self->snap;
	struct state before = {};
	pid_t child;

	snapshot_take(_metadata, snap);
	state_get(_metadata, &before);
	child = fork_child();
	ASSERT_LE(0, child);
	if (!child) {
		ASSERT_EQ(0, setresuid(MEASURED_UID, MEASURED_UID,
				       MEASURED_UID));
		EXPECT_EQ(-1, write(snap->fd, "1", 1));
		EXPECT_EQ(EPERM, errno);
		_exit(_metadata->exit_code);
	}
	EXPECT_EQ(0, exit_status(child));
	expect_unchanged(_metadata, &before);
	expect_purge_works(_metadata, snap);
}

TEST_F(write, refused_then_closed_keeps_everything)
{
	struct ima_log before = {}, after = {};
	int fd;

	/* Refused and closed: all is there for the next one. */
	ASSERT_STREQ("", log_read(BINARY_LIST, &before));
	fd = snapshot_open();
	ASSERT_LE(0, fd);
	expect_refused(_metadata, fd, EPROTO);
	EXPECT_EQ(0, close(fd));
	ASSERT_STREQ("", log_read(BINARY_LIST, &after));
	EXPECT_TRUE(log_is_prefix(&before, &after));
	snapshot_take(_metadata, &self->snap);
	EXPECT_TRUE(log_is_prefix(&after, &self->snap.segment));
	snapshot_close(_metadata, &self->snap);
}

FIXTURE(hash_table)
{
	struct snapshot snap;
};

FIXTURE_SETUP(hash_table)
{
	setup_ima(_metadata);
}

FIXTURE_TEARDOWN(hash_table)
{
}

TEST_F(hash_table, forgets_what_is_purged_only)
{
	static const char *const early[] = {
		WORK_DIR "/early-1", WORK_DIR "/early-2",
	};
	static const char *const late[] = {
		WORK_DIR "/late-1", WORK_DIR "/late-2",
	};
	struct snapshot *snap = &self->snap;
	struct ima_log log = {};

	/* An earlier run may have left these in the table. */
	purge_all(_metadata);
	ASSERT_EQ(0, measure_same(early, 2));
	ASSERT_EQ(0, measure_same(early, 2));
	ASSERT_STREQ("", log_read(BINARY_LIST, &log));
	if (log_count_name(&log, 0, early[0]) == 2)
		SKIP(return, "no hash table (CONFIG_IMA_DISABLE_HTABLE)");
	ASSERT_EQ(1, log_count_name(&log, 0, early[0]));

	snapshot_take(_metadata, snap);
	ASSERT_EQ(0, measure_same(late, 2));
	ASSERT_EQ(1, write(snap->fd, "1", 1));
	ASSERT_EQ(0, measure_same(early, 2));
	ASSERT_EQ(0, measure_same(late, 2));
	snapshot_close(_metadata, snap);
	ASSERT_EQ(0, measure_same(early, 2));
	ASSERT_EQ(0, measure_same(late, 2));

	ASSERT_STREQ("", log_read(BINARY_LIST, &log));
	for (int i = 0; i < 2; i++) {
		/* Purged, then measured anew, once. */
		EXPECT_EQ(1, log_count_name(&log, 0, early[i]));
		/* Never purged, never measured again. */
		EXPECT_EQ(1, log_count_name(&log, 0, late[i]));
	}
}

TEST_F(hash_table, stays_after_close_without_write)
{
	static const char *const path[] = { WORK_DIR "/stays" };
	struct ima_log log = {};

	purge_all(_metadata);
	ASSERT_EQ(0, measure_same(path, 1));
	ASSERT_EQ(0, measure_same(path, 1));
	ASSERT_STREQ("", log_read(BINARY_LIST, &log));
	if (log_count_name(&log, 0, path[0]) == 2)
		SKIP(return, "no hash table (CONFIG_IMA_DISABLE_HTABLE)");

	snapshot_take(_metadata, &self->snap);
	snapshot_close(_metadata, &self->snap);
	ASSERT_EQ(0, measure_same(path, 1));
	ASSERT_STREQ("", log_read(BINARY_LIST, &log));
	EXPECT_EQ(1, log_count_name(&log, 0, path[0]));
}

/* Whether a file that is measured again, as it was, brings another record. */
static bool have_hash_table(struct __test_metadata *_metadata)
{
	static const char *const path[] = { WORK_DIR "/again" };
	struct ima_log log = {};
	size_t before, after;

	ASSERT_EQ(0, measure_same(path, 1));
	ASSERT_STREQ("", log_read(BINARY_LIST, &log));
	before = log_count_name(&log, 0, path[0]);
	ASSERT_EQ(0, measure_same(path, 1));
	ASSERT_STREQ("", log_read(BINARY_LIST, &log));
	after = log_count_name(&log, 0, path[0]);
	log_free(&log);
	ASSERT_LE(before, after);
	ASSERT_GE(before + 1, after);
	return before == after;
}

TEST_F(hash_table, without_one_all_is_measured_again)
{
	static const char *const path[] = { WORK_DIR "/1", WORK_DIR "/2" };
	struct ima_log log = {};

	if (have_hash_table(_metadata))
		SKIP(return, "there is one (no CONFIG_IMA_DISABLE_HTABLE)");
	purge_all(_metadata);
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, measure_same(path, 2));
	snapshot_take(_metadata, &self->snap);
	ASSERT_EQ(0, measure_same(path, 2));
	ASSERT_EQ(1, write(self->snap.fd, "1", 1));
	ASSERT_EQ(0, measure_same(path, 2));
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(3, log_count_name(&self->snap.segment, 0, path[i]));
	snapshot_close(_metadata, &self->snap);

	ASSERT_STREQ("", log_read(BINARY_LIST, &log));
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(2, log_count_name(&log, 0, path[i]));
	for (size_t i = 0; i < log.count; i++)
		EXPECT_TRUE(record_digest_is_right(&log.rec[i]));
	log_free(&log);
}

/* Objects in use and pages taken in the caches of kmalloc(). */
struct slabs {
	long objects;
	long pages;
};

static bool slabs_get(struct slabs *now)
{
	unsigned long active, total, size, per_slab, pages_per_slab, slabs;
	char line[512], name[64];
	FILE *info;

	info = fopen("/proc/slabinfo", "re");
	if (!info)
		return false;
	*now = (struct slabs) {};
	while (fgets(line, sizeof(line), info)) {
		if (sscanf(line,
			   "%63s %lu %lu %lu %lu %lu : tunables %*u %*u %*u : slabdata %*u %lu",
			   name, &active, &total, &size, &per_slab,
			   &pages_per_slab, &slabs) != 7)
			continue;
		if (strncmp(name, "kmalloc-", 8))
			continue;
		now->objects += active;
		now->pages += slabs * pages_per_slab;
	}
	fclose(info);
	return now->objects > 0;
}

/* KASAN keeps what is freed for a while: nothing can be counted then. */
static bool have_kasan(void)
{
	bool found = false;
	char line[512];
	FILE *syms;

	syms = fopen("/proc/kallsyms", "re");
	if (!syms)
		return false;
	while (!found && fgets(line, sizeof(line), syms))
		found = strstr(line, " kasan_quarantine_put\n");
	fclose(syms);
	return found;
}

#define MANY_RECORDS 4000

/* The memory of so many records is back. */
static void expect_freed(struct __test_metadata *_metadata,
			 const struct slabs *before, const struct slabs *full,
			 const struct slabs *after)
{
	TH_LOG("kmalloc objects %ld, %ld with %d records more, %ld after the removal",
	       before->objects, full->objects, MANY_RECORDS, after->objects);
	TH_LOG("kmalloc pages %ld, %ld, %ld", before->pages, full->pages,
	       after->pages);

	/*
	 * A record takes at least an entry, its place in the list, its digests
	 * and two fields. What the caches of the CPUs hold counts as in use,
	 * hence less than all of it is asked for.
	 */
	EXPECT_LE(before->objects + 4 * MANY_RECORDS, full->objects);
	EXPECT_LE((full->objects - before->objects) * 9 / 10,
		  full->objects - after->objects);
	EXPECT_LE((full->pages - before->pages) * 3 / 4,
		  full->pages - after->pages);
}

TEST_F(hash_table, memory_comes_back)
{
	struct slabs before, full, after;

	if (have_kasan())
		SKIP(return, "KASAN holds back freed memory");
	if (!slabs_get(&before))
		SKIP(return, "no /proc/slabinfo");

	purge_all(_metadata);
	ASSERT_TRUE(slabs_get(&before));
	ASSERT_EQ(0, measure_many(MANY_RECORDS));
	ASSERT_TRUE(slabs_get(&full));
	purge_all(_metadata);
	ASSERT_TRUE(slabs_get(&after));
	expect_freed(_metadata, &before, &full, &after);
}

/* Staging keeps what the hash table refers to, and only that. */
TEST_F(hash_table, staging_frees_what_is_not_hashed)
{
	struct slabs before, full, after;

	if (access(BINARY_STAGED, F_OK))
		SKIP(return, "this kernel has no %s", BINARY_STAGED);
	if (have_kasan())
		SKIP(return, "KASAN holds back freed memory");
	if (!slabs_get(&before))
		SKIP(return, "no /proc/slabinfo");
	if (!on_command_line("ima_flush_htable") && have_hash_table(_metadata))
		SKIP(return, "the hash table refers to all records");

	purge_all(_metadata);
	ASSERT_TRUE(slabs_get(&before));
	ASSERT_EQ(0, measure_many(MANY_RECORDS));
	ASSERT_TRUE(slabs_get(&full));
	ASSERT_EQ(0, list_write(BINARY_STAGED, "A\n"));
	ASSERT_EQ(0, list_write(BINARY_STAGED, "D\n"));
	ASSERT_TRUE(slabs_get(&after));
	expect_freed(_metadata, &before, &full, &after);
}

int main(int argc, char **argv)
{
	require_file(SNAPSHOT);
	require_ima();
	return test_harness_run(argc, argv);
}
