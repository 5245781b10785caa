// SPDX-License-Identifier: GPL-2.0-only
/*
 * Snapshots when the kernel has no memory, by fault injection: what fails
 * changes nothing
 */

#include "common.h"
#include "replay.h"

#define FAULT_DIR	"/sys/kernel/debug/"

/* More faults than one call can meet */
#define MANY		1000000
/* More points than one call has allocations */
#define MAX_POINTS	2000

enum control {
	NTH,
	SLAB_ON,
	SLAB_AFTER,
	SLAB_LEFT,
	PAGES_ON,
	PAGES_LEFT,
	NR_CONTROLS,
};

static const char *const controls[] = {
	[NTH] = "/proc/self/fail-nth",
	[SLAB_ON] = FAULT_DIR "failslab/probability",
	[SLAB_AFTER] = FAULT_DIR "failslab/space",
	[SLAB_LEFT] = FAULT_DIR "failslab/times",
	[PAGES_ON] = FAULT_DIR "fail_page_alloc/probability",
	[PAGES_LEFT] = FAULT_DIR "fail_page_alloc/times",
};

FIXTURE(memory)
{
	struct snapshot snap;
	/* Open, since an open would be a victim, too. */
	int control[NR_CONTROLS];
};

FIXTURE_VARIANT(memory)
{
	bool all;
};

/* The n-th allocation fails, and no other. */
FIXTURE_VARIANT_ADD(memory, one_allocation) {
	.all = false,
};

/*
 * All allocations fail after so many bytes, and those of 64 KB always, so that
 * the kernel falls back on vmalloc().
 */
FIXTURE_VARIANT_ADD(memory, all_from_a_point_on) {
	.all = true,
};

static int put(const char *path, const char *value)
{
	ssize_t len = strlen(value);
	int fd, ret;

	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ret = write(fd, value, len) == len ? 0 : -1;
	close(fd);
	return ret;
}

/* Without this only those fail that may not wait; and each one is logged. */
static int set_up_faults(const char *name, const char *min_order)
{
	static const char *const setting[][2] = {
		{ "probability", "0" },
		{ "interval", "1" },
		{ "space", "0" },
		{ "verbose", "0" },
		{ "task-filter", "Y" },
		{ "ignore-gfp-wait", "N" },
	};
	char path[128];

	for (size_t i = 0; i < ARRAY_SIZE(setting); i++) {
		snprintf(path, sizeof(path), FAULT_DIR "%s/%s", name,
			 setting[i][0]);
		if (put(path, setting[i][1]))
			return -1;
	}
	snprintf(path, sizeof(path), FAULT_DIR "%s/min-order", name);
	return min_order ? put(path, min_order) : 0;
}

FIXTURE_SETUP(memory)
{
	setup_ima(_metadata);
	ensure_replayable(_metadata);
	ASSERT_EQ(0, set_up_faults("failslab", NULL));
	ASSERT_EQ(0, set_up_faults("fail_page_alloc", variant->all ? "4" : "0"));
	ASSERT_EQ(0, put("/proc/self/make-it-fail", "1"));
	for (int i = 0; i < NR_CONTROLS; i++) {
		self->control[i] = open(controls[i], O_RDWR | O_CLOEXEC);
		ASSERT_LE(0, self->control[i]);
	}
}

/* With the test ends the only task that meets faults. */
FIXTURE_TEARDOWN(memory)
{
}

static void set(struct __test_metadata *_metadata, int control, long value)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "%ld", value);

	ASSERT_EQ(len, write(control, text, len));
}

static long get(struct __test_metadata *_metadata, enum control control)
{
	char text[24];

	ASSERT_LT(0, read_text(controls[control], text, sizeof(text)));
	return strtol(text, NULL, 10);
}

/* The allocation at @point fails from here on, or all from that point on. */
static void faults_begin(struct __test_metadata *_metadata,
			 const int control[NR_CONTROLS], bool all, long point)
{
	if (!all) {
		set(_metadata, control[NTH], point);
		return;
	}
	set(_metadata, control[SLAB_AFTER], point);
	set(_metadata, control[SLAB_LEFT], MANY);
	set(_metadata, control[PAGES_LEFT], MANY);
	set(_metadata, control[PAGES_ON], 100);
	set(_metadata, control[SLAB_ON], 100);
}

/* Whether a small allocation failed since faults_begin(). Keeps errno. */
static bool faults_end(struct __test_metadata *_metadata,
		       const int control[NR_CONTROLS], bool all)
{
	int error = errno;
	bool failed;
	char nth[8];

	if (all) {
		set(_metadata, control[SLAB_ON], 0);
		set(_metadata, control[PAGES_ON], 0);
		failed = get(_metadata, SLAB_LEFT) != MANY;
	} else {
		/* An open would count, too. */
		failed = pread(control[NTH], nth, sizeof(nth), 0) > 0 &&
			 nth[0] == '0';
		set(_metadata, control[NTH], 0);
	}
	errno = error;
	return failed;
}

/* The next point: an allocation, or so many bytes, more where there are many. */
static long next_point(bool all, long point)
{
	if (!all)
		return point + 1;
	return point + (point < 8192 ? 256 : 2048);
}

TEST_F(memory, open_records_whole_or_not_at_all)
{
	struct snapshot *snap = &self->snap;
	unsigned int refused = 0, recorded = 0;
	bool failed = true;

	purge_all(_metadata);
	for (long point = !variant->all; failed;
	     point = next_point(variant->all, point)) {
		struct state before = {};
		int error;

		ASSERT_GT(MAX_POINTS, refused + recorded);
		ASSERT_EQ(0, measure_many(1));
		state_get(_metadata, &before);
		faults_begin(_metadata, self->control, variant->all, point);
		snap->fd = snapshot_open();
		error = errno;
		failed = faults_end(_metadata, self->control, variant->all);
		if (snap->fd < 0) {
			refused++;
			EXPECT_TRUE(failed);
			EXPECT_EQ(ENOMEM, error) {
				TH_LOG("point %ld: %s", point, strerror(error));
			}
			expect_unchanged(_metadata, &before);
			log_free(&before.log);
			/* Nobody has it open, and nothing is missing. */
			snapshot_take(_metadata, snap);
		} else {
			recorded++;
			snapshot_load(_metadata, snap);
		}
		EXPECT_EQ(before.attempts + 1, snap->agg.attempt);
		expect_replay(_metadata, snap);
		EXPECT_EQ(1, write(snap->fd, "1", 1));
		snapshot_close(_metadata, snap);
		expect_tpm_replay(_metadata);
		ASSERT_EQ(0, _metadata->exit_code) {
			TH_LOG("point %ld", point);
		}
	}
	TH_LOG("refused at %u of %u points", refused, refused + recorded);
	/* The file, its state, the record, and its place, at least. */
	EXPECT_LT(4, refused);
}

TEST_F(memory, read_loses_nothing)
{
	struct snapshot *snap = &self->snap;
	unsigned int points = 0;
	bool failed = true;
	char *buf;

	purge_all(_metadata);
	ASSERT_EQ(0, measure_many(130));
	snapshot_take(_metadata, snap);
	buf = malloc(snap->segment.len);
	ASSERT_NE(NULL, buf);
	for (long point = !variant->all; failed;
	     point = next_point(variant->all, point)) {
		ssize_t len;

		ASSERT_GT(MAX_POINTS, points++);
		memset(buf, 0, snap->segment.len);
		ASSERT_EQ(0, lseek(snap->fd, 0, SEEK_SET));
		faults_begin(_metadata, self->control, variant->all, point);
		len = read(snap->fd, buf, snap->segment.len);
		failed = faults_end(_metadata, self->control, variant->all);
		if (len < 0) {
			EXPECT_TRUE(failed);
			EXPECT_EQ(ENOMEM, errno);
			continue;
		}
		EXPECT_LT(0, len);
		EXPECT_EQ(0, memcmp(snap->segment.bytes, buf, len));
	}
	TH_LOG("%u points", points);

	/* What was read stays read, and the rest can be read. */
	snapshot_load(_metadata, snap);
	expect_replay(_metadata, snap);
	EXPECT_EQ(1, write(snap->fd, "1", 1));
	snapshot_close(_metadata, snap);
	expect_tpm_replay(_metadata);
	free(buf);
}

TEST_F(memory, purge_needs_none)
{
	struct snapshot *snap = &self->snap;
	struct ima_log after = {};
	unsigned int points = 0;
	bool failed = true;

	for (long point = !variant->all; failed;
	     point = next_point(variant->all, point)) {
		ssize_t len;
		long purges;

		ASSERT_GT(MAX_POINTS, points++);
		ASSERT_EQ(0, measure_many(5));
		snapshot_take(_metadata, snap);
		ASSERT_EQ(0, measure_many(1));
		purges = counter("snapshot_purges");
		faults_begin(_metadata, self->control, variant->all, point);
		len = write(snap->fd, "1", 1);
		failed = faults_end(_metadata, self->control, variant->all);
		EXPECT_EQ(1, len) {
			TH_LOG("point %ld: %s", point, strerror(errno));
		}
		EXPECT_EQ(purges + 1, counter("snapshot_purges"));
		ASSERT_STREQ("", log_read(BINARY_LIST, &after));
		EXPECT_EQ(snap->rec->len, after.rec[0].len);
		EXPECT_EQ(0, memcmp(snap->list.bytes + snap->segment.len,
				    after.bytes, snap->rec->len));
		snapshot_close(_metadata, snap);
		ASSERT_EQ(0, _metadata->exit_code);
	}
	TH_LOG("%u points", points);
	expect_tpm_replay(_metadata);
	log_free(&after);
}

int main(int argc, char **argv)
{
	require_file(SNAPSHOT);
	for (int i = 0; i < NR_CONTROLS; i++)
		require_file(controls[i]);
	require_ima();
	return test_harness_run(argc, argv);
}
