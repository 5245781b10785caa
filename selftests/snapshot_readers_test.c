// SPDX-License-Identifier: GPL-2.0-only
/*
 * Readers of the ordinary lists while records are purged under them: nothing
 * is shown twice, nothing that is in memory is left out, and what is left out
 * is reported
 */

#include "common.h"

/* Cuts an ASCII list into lines, as log_parse() cuts a binary one. */
static const char *lines_parse(struct ima_log *log)
{
	size_t pos = 0, room = 0;

	free(log->rec);
	log->rec = NULL;
	log->count = 0;
	while (pos < log->len) {
		const __u8 *end = memchr(log->bytes + pos, '\n',
					 log->len - pos);

		if (!end)
			return "list ends in a line";
		if (log->count == room) {
			room = room ? 2 * room : 64;
			log->rec = realloc(log->rec, room * sizeof(*log->rec));
			if (!log->rec)
				return "out of memory";
		}
		log->rec[log->count++] = (struct ima_record) {
			.offset = pos,
			.len = end + 1 - (log->bytes + pos),
		};
		pos = end + 1 - log->bytes;
	}
	return "";
}

static const char *split(struct ima_log *log, bool ascii)
{
	return ascii ? lines_parse(log) : log_parse(log, SHA1_SIZE);
}

static void list_get(struct __test_metadata *_metadata, const char *path,
		     bool ascii, struct ima_log *log)
{
	int fd;

	log_free(log);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, read_rest(fd, 1 << 16, log));
	ASSERT_EQ(0, close(fd));
	ASSERT_STREQ("", split(log, ascii));
}

/* Adds the first @len bytes of @more to @log. */
static void append(struct __test_metadata *_metadata, struct ima_log *log,
		   const struct ima_log *more, size_t len, bool ascii)
{
	log->bytes = realloc(log->bytes, log->len + len + 1);
	ASSERT_NE(NULL, log->bytes);
	memcpy(log->bytes + log->len, more->bytes, len);
	log->len += len;
	ASSERT_STREQ("", split(log, ascii));
}

static bool same_item(const struct ima_log *a, size_t i,
		      const struct ima_log *b, size_t j)
{
	return a->rec[i].len == b->rec[j].len &&
	       !memcmp(a->bytes + a->rec[i].offset,
		       b->bytes + b->rec[j].offset, a->rec[i].len);
}

/* One reader, and what there was for it to see. */
struct watch {
	const char *list;
	bool ascii;
	struct snapshot snap;
	/* The list before the purge, and after it. */
	struct ima_log before;
	struct ima_log after;
	/* All that there ever was, the purged part included. */
	struct ima_log all;
	/* What the reader saw, from its open on. */
	struct ima_log seen;
	int fd;
};

FIXTURE(reader)
{
	struct watch watch;
};

FIXTURE_VARIANT(reader)
{
	const char *list;
	bool ascii;
};

FIXTURE_VARIANT_ADD(reader, of_binary_list) {
	.list = BINARY_LIST,
	.ascii = false,
};

FIXTURE_VARIANT_ADD(reader, of_ascii_list) {
	.list = ASCII_LIST,
	.ascii = true,
};

FIXTURE_SETUP(reader)
{
	struct watch *w = &self->watch;

	setup_ima(_metadata);
	w->list = variant->list;
	w->ascii = variant->ascii;
	purge_all(_metadata);
	ASSERT_EQ(0, measure_many(200));
	w->fd = open(w->list, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, w->fd);
}

FIXTURE_TEARDOWN(reader)
{
}

/* Reads exactly @len bytes more. */
static void reader_go(struct __test_metadata *_metadata, struct watch *w,
		      size_t len)
{
	struct ima_log *seen = &w->seen;

	seen->bytes = realloc(seen->bytes, seen->len + len);
	ASSERT_NE(NULL, seen->bytes);
	while (len) {
		ssize_t n = read(w->fd, seen->bytes + seen->len, len);

		ASSERT_LT(0, n);
		seen->len += n;
		len -= n;
	}
}

/* Purges the first part of the list, with records measured on both sides. */
static void begin_purge(struct __test_metadata *_metadata, struct watch *w)
{
	struct snapshot *snap = &w->snap;

	snapshot_take(_metadata, snap);
	ASSERT_EQ(0, measure_many(50));
	list_get(_metadata, w->list, w->ascii, &w->before);
}

static void finish_purge(struct __test_metadata *_metadata, struct watch *w)
{
	struct snapshot *snap = &w->snap;
	size_t boundary = snap->segment.count;

	ASSERT_EQ(1, write(snap->fd, "1", 1));
	ASSERT_EQ(0, measure_many(10));
	list_get(_metadata, w->list, w->ascii, &w->after);
	append(_metadata, &w->all, &w->before,
	       w->before.rec[boundary].offset, w->ascii);
	append(_metadata, &w->all, &w->after, w->after.len, w->ascii);
	ASSERT_TRUE(same_item(&w->before, boundary, &w->after, 0));
}

/*
 * The reader saw the first n items for some n, then all that are still in
 * memory and not among those n, and perhaps some that came later. Returns n.
 */
static long items_before_gap(const struct watch *w)
{
	const struct ima_log *all = &w->all, *seen = &w->seen;
	size_t purged = all->count - w->after.count;
	size_t n = 0;

	while (n < seen->count && n < all->count && same_item(all, n, seen, n))
		n++;
	if (n >= purged)
		return n == all->count ? (long)n : -1;
	if (seen->count - n < w->after.count)
		return -1;
	for (size_t i = 0; i < w->after.count; i++) {
		if (!same_item(seen, n + i, &w->after, i))
			return -1;
	}
	return n;
}

/* Reads to the end, with one error for the records that it missed. */
static void read_rest_with_hole(struct __test_metadata *_metadata,
				struct watch *w, size_t chunk)
{
	EXPECT_EQ(-1, read_rest(w->fd, chunk, &w->seen));
	EXPECT_EQ(ESTALE, errno);
	ASSERT_EQ(0, read_rest(w->fd, chunk, &w->seen));
	ASSERT_STREQ("", split(&w->seen, w->ascii));
}

/* At position 0 it has no place on the list yet: there is no hole. */
TEST_F(reader, that_never_began)
{
	struct watch *w = &self->watch;

	begin_purge(_metadata, w);
	finish_purge(_metadata, w);
	ASSERT_EQ(0, read_rest(w->fd, 4096, &w->seen));
	ASSERT_STREQ("", split(&w->seen, w->ascii));
	EXPECT_EQ(0, items_before_gap(w));
	snapshot_close(_metadata, &w->snap);
}

TEST_F(reader, in_the_middle)
{
	struct watch *w = &self->watch;
	long n, purged;

	/* Within a record, too. */
	reader_go(_metadata, w, 8003);
	begin_purge(_metadata, w);
	finish_purge(_metadata, w);
	read_rest_with_hole(_metadata, w, 4096);

	n = items_before_gap(w);
	purged = w->all.count - w->after.count;
	TH_LOG("%ld of %ld purged records seen", n, purged);
	EXPECT_LT(0, n);
	EXPECT_GT(purged, n);
	snapshot_close(_metadata, &w->snap);
}

TEST_F(reader, in_the_middle_byte_by_byte)
{
	struct watch *w = &self->watch;
	long n;

	reader_go(_metadata, w, 5001);
	begin_purge(_metadata, w);
	finish_purge(_metadata, w);
	read_rest_with_hole(_metadata, w, 1);
	n = items_before_gap(w);
	EXPECT_LT(0, n);
	EXPECT_GT(w->all.count - w->after.count, n);
	snapshot_close(_metadata, &w->snap);
}

TEST_F(reader, behind_the_boundary)
{
	struct watch *w = &self->watch;

	begin_purge(_metadata, w);
	reader_go(_metadata, w,
		  w->before.rec[w->snap.segment.count + 7].offset + 5);
	finish_purge(_metadata, w);
	ASSERT_EQ(0, read_rest(w->fd, 4096, &w->seen));
	ASSERT_STREQ("", split(&w->seen, w->ascii));
	EXPECT_EQ(w->all.count, items_before_gap(w));
	snapshot_close(_metadata, &w->snap);
}

TEST_F(reader, at_the_boundary)
{
	struct watch *w = &self->watch;

	begin_purge(_metadata, w);
	reader_go(_metadata, w, w->before.rec[w->snap.segment.count].offset);
	finish_purge(_metadata, w);
	ASSERT_EQ(0, read_rest(w->fd, 4096, &w->seen));
	ASSERT_STREQ("", split(&w->seen, w->ascii));
	EXPECT_EQ(w->all.count, items_before_gap(w));
	snapshot_close(_metadata, &w->snap);
}

TEST_F(reader, at_the_end)
{
	struct watch *w = &self->watch;

	begin_purge(_metadata, w);
	ASSERT_EQ(0, read_rest(w->fd, 4096, &w->seen));
	EXPECT_LE(w->before.len, w->seen.len);
	finish_purge(_metadata, w);
	ASSERT_EQ(0, read_rest(w->fd, 4096, &w->seen));
	ASSERT_STREQ("", split(&w->seen, w->ascii));
	EXPECT_EQ(w->all.count, items_before_gap(w));
	snapshot_close(_metadata, &w->snap);
}

/* Whether @w->seen begins with items of @w->all, and goes on with @w->after. */
static bool has_one_gap(const struct watch *w)
{
	const struct ima_log *seen = &w->seen;
	size_t gap = 0;

	while (gap < seen->count && !same_item(seen, gap, &w->after, 0))
		gap++;
	if (!gap || gap + w->after.count > seen->count)
		return false;
	for (size_t i = 0; i < gap; i++) {
		if (!same_item(seen, i, &w->all, i))
			return false;
	}
	for (size_t i = 0; i < w->after.count; i++) {
		if (!same_item(seen, gap + i, &w->after, i))
			return false;
	}
	return true;
}

TEST_F(reader, across_two_purges_gets_one_error)
{
	struct watch *w = &self->watch;

	reader_go(_metadata, w, 2000);
	begin_purge(_metadata, w);
	finish_purge(_metadata, w);
	snapshot_close(_metadata, &w->snap);

	/* What it was to go on with goes as well. */
	purge_all(_metadata);
	ASSERT_EQ(0, measure_many(5));
	list_get(_metadata, w->list, w->ascii, &w->after);
	read_rest_with_hole(_metadata, w, 4096);
	EXPECT_TRUE(has_one_gap(w));
}

TEST_F(reader, that_got_the_error_goes_on_with_what_is_there)
{
	struct watch *w = &self->watch;

	reader_go(_metadata, w, 2000);
	begin_purge(_metadata, w);
	finish_purge(_metadata, w);
	snapshot_close(_metadata, &w->snap);
	EXPECT_EQ(-1, read_rest(w->fd, 4096, &w->seen));
	EXPECT_EQ(ESTALE, errno);

	/* It has seen nothing behind the hole: the hole only gets larger. */
	purge_all(_metadata);
	ASSERT_EQ(0, measure_many(5));
	list_get(_metadata, w->list, w->ascii, &w->after);
	ASSERT_EQ(0, read_rest(w->fd, 4096, &w->seen));
	ASSERT_STREQ("", split(&w->seen, w->ascii));
	EXPECT_TRUE(has_one_gap(w));
}

TEST_F(reader, gets_an_error_for_each_hole)
{
	struct watch *w = &self->watch;

	for (int i = 0; i < 3; i++) {
		reader_go(_metadata, w, 2000);
		/* These come after its last read, so it misses them all. */
		ASSERT_EQ(0, measure_many(50));
		purge_all(_metadata);
		ASSERT_EQ(0, measure_many(50));
		/* What is in its buffer comes first. */
		EXPECT_EQ(-1, read_rest(w->fd, 4096, &w->seen));
		EXPECT_EQ(ESTALE, errno);
	}
}

TEST_F(reader, that_rewinds)
{
	struct watch *w = &self->watch;

	reader_go(_metadata, w, 3000);
	begin_purge(_metadata, w);
	finish_purge(_metadata, w);
	ASSERT_EQ(0, lseek(w->fd, 0, SEEK_SET));
	w->seen.len = 0;
	ASSERT_EQ(0, read_rest(w->fd, 4096, &w->seen));
	EXPECT_TRUE(log_is_prefix(&w->after, &w->seen));
	snapshot_close(_metadata, &w->snap);
}

TEST_F(reader, that_seeks_counts_from_the_first_record)
{
	struct watch *w = &self->watch;
	char bytes[700];
	size_t pos;

	reader_go(_metadata, w, 3000);
	begin_purge(_metadata, w);
	finish_purge(_metadata, w);
	for (pos = 0; pos + sizeof(bytes) < w->after.len; pos += 431) {
		ssize_t n = pread(w->fd, bytes, sizeof(bytes), pos);

		ASSERT_LT(0, n);
		EXPECT_EQ(0, memcmp(w->after.bytes + pos, bytes, n));
	}

	pos = w->after.len / 2;
	ASSERT_EQ(pos, lseek(w->fd, pos, SEEK_SET));
	w->seen.len = 0;
	ASSERT_EQ(0, read_rest(w->fd, 4096, &w->seen));
	ASSERT_LE(w->after.len - pos, w->seen.len);
	EXPECT_EQ(0, memcmp(w->after.bytes + pos, w->seen.bytes,
			    w->after.len - pos));
	snapshot_close(_metadata, &w->snap);
}

TEST_F(reader, is_never_refused)
{
	struct watch *w = &self->watch;
	int fd[3];

	/* Not while a snapshot is open, nor once it has purged. */
	snapshot_take(_metadata, &w->snap);
	fd[0] = open(w->list, O_RDONLY | O_CLOEXEC);
	EXPECT_LE(0, fd[0]);
	list_get(_metadata, w->list, w->ascii, &w->before);
	EXPECT_LE(w->snap.list.count, w->before.count);
	ASSERT_EQ(1, write(w->snap.fd, "1", 1));
	fd[1] = open(w->list, O_RDONLY | O_CLOEXEC);
	EXPECT_LE(0, fd[1]);
	list_get(_metadata, w->list, w->ascii, &w->after);
	EXPECT_TRUE(same_item(&w->before, w->snap.segment.count, &w->after, 0));
	EXPECT_LE(w->before.count - w->snap.segment.count, w->after.count);
	snapshot_close(_metadata, &w->snap);

	/* And none of them is in the way of the next. */
	purge_all(_metadata);
	fd[2] = open(w->list, O_RDONLY | O_CLOEXEC);
	EXPECT_LE(0, fd[2]);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, close(fd[i]));
}

#define NR_READERS 4
#define NR_PURGES 20

FIXTURE(crowd)
{
	struct snapshot snap;
	struct ima_log all;
	/* Where in @all the list began at some time. */
	size_t head[NR_PURGES + 1];
	pid_t reader[NR_READERS];
	pid_t load[2];
};

FIXTURE_VARIANT(crowd)
{
	const char *list;
	bool ascii;
};

FIXTURE_VARIANT_ADD(crowd, of_binary_list) {
	.list = BINARY_LIST,
	.ascii = false,
};

FIXTURE_VARIANT_ADD(crowd, of_ascii_list) {
	.list = ASCII_LIST,
	.ascii = true,
};

FIXTURE_SETUP(crowd)
{
	setup_ima(_metadata);
}

FIXTURE_TEARDOWN(crowd)
{
}

static void seen_path(char *path, size_t size, int reader)
{
	snprintf(path, size, WORK_DIR "/seen-%d", reader);
}

/*
 * Follows the list as it grows until the pipe is closed, and keeps what it
 * saw. Each reader has a rhythm of its own. Its exit status is the number of
 * times that a hole was reported to it, or more than there can be.
 */
static void __noreturn follow(int fd, int reader, int stop)
{
	const size_t chunk = 61 + 977 * reader * reader;
	struct pollfd stopped = { .fd = stop, .events = POLLIN };
	char buf[16384], path[64];
	bool last = false;
	int out, holes = 0;

	seen_path(path, sizeof(path), reader);
	out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (out < 0)
		_exit(NR_PURGES + 1);
	for (;;) {
		ssize_t n = read(fd, buf, chunk);

		if (n < 0 && errno == ESTALE) {
			holes++;
			continue;
		}
		if (n < 0 || write(out, buf, n) != n)
			_exit(NR_PURGES + 1);
		if (n)
			continue;
		if (last)
			break;
		last = poll(&stopped, 1, reader) > 0;
	}
	_exit(holes);
}

TEST_F(crowd, sees_everything_once)
{
	struct snapshot *snap = &self->snap;
	struct ima_log list = {};
	int stop[2], fd;

	purge_all(_metadata);
	ASSERT_EQ(0, pipe2(stop, O_CLOEXEC));
	for (int i = 0; i < NR_READERS; i++) {
		/* All begin with the list as it is now. */
		fd = open(variant->list, O_RDONLY | O_CLOEXEC);
		ASSERT_LE(0, fd);
		self->reader[i] = fork_child();
		ASSERT_LE(0, self->reader[i]);
		if (!self->reader[i]) {
			close(stop[1]);
			follow(fd, i, stop[0]);
		}
		ASSERT_EQ(0, close(fd));
	}
	for (int i = 0; i < 2; i++) {
		self->load[i] = fork_load(MEASURED_UID);
		ASSERT_LE(0, self->load[i]);
	}

	for (int i = 0; i < NR_PURGES; i++) {
		ASSERT_EQ(0, measure_many(20));
		snapshot_take(_metadata, snap);
		list_get(_metadata, variant->list, variant->ascii, &list);
		ASSERT_LT(snap->segment.count, list.count);
		append(_metadata, &self->all, &list,
		       list.rec[snap->segment.count].offset, variant->ascii);
		ASSERT_EQ(1, write(snap->fd, "1", 1));
		self->head[i + 1] = self->all.count;
		snapshot_close(_metadata, snap);
	}
	for (int i = 0; i < 2; i++)
		ASSERT_TRUE(kill_child(self->load[i]));
	list_get(_metadata, variant->list, variant->ascii, &list);
	append(_metadata, &self->all, &list, list.len, variant->ascii);
	ASSERT_EQ(0, close(stop[1]));

	for (int i = 0; i < NR_READERS; i++) {
		struct ima_log seen = {};
		size_t pos = 0, purge = 0, gaps = 0;
		char path[64];
		int holes;

		holes = exit_status(self->reader[i]);
		ASSERT_LE(0, holes);
		ASSERT_GE(NR_PURGES, holes);
		seen_path(path, sizeof(path), i);
		list_get(_metadata, path, variant->ascii, &seen);
		ASSERT_LT(0, seen.count);
		for (size_t j = 0; j < seen.count; j++, pos++) {
			if (pos < self->all.count &&
			    same_item(&seen, j, &self->all, pos))
				continue;
			/* Records of other processes may have come after it. */
			if (pos == self->all.count)
				break;
			/* Else it goes on where a purge had left the list. */
			gaps += j > 0;
			do {
				purge++;
				ASSERT_GE(NR_PURGES, purge) {
					TH_LOG("reader %d: item %zu comes from nowhere",
					       i, j);
				}
			} while (self->head[purge] <= pos ||
				 !same_item(&seen, j, &self->all,
					    self->head[purge]));
			pos = self->head[purge];
		}
		/* And has all to the end. */
		EXPECT_EQ(self->all.count, pos);
		EXPECT_EQ(gaps, holes);
		TH_LOG("reader %d: %zu of %zu seen, %zu gaps", i, seen.count,
		       self->all.count, gaps);
		log_free(&seen);
	}
}

int main(int argc, char **argv)
{
	require_file(SNAPSHOT);
	require_ima();
	return test_harness_run(argc, argv);
}
