// SPDX-License-Identifier: GPL-2.0-only
/*
 * What read() and lseek() give on the snapshot, however it is read
 */

#include "common.h"

/*
 * Opens a snapshot over a few buffers' worth of records, and not more: some
 * tests read byte by byte. @head is the list up to the aggregate.
 */
static int open_with_head(struct __test_metadata *_metadata,
			  struct ima_log *head)
{
	int fd;

	purge_all(_metadata);
	ASSERT_EQ(0, measure_many(130));
	fd = snapshot_open();
	ASSERT_LE(0, fd);
	ASSERT_STREQ("", log_read(BINARY_LIST, head));
	for (size_t i = head->count; i--;) {
		if (!record_has_name(&head->rec[i], "snapshot_aggregate"))
			continue;
		head->len = head->rec[i].offset;
		head->count = i;
		break;
	}
	ASSERT_LE(130, head->count);
	ASSERT_LT(3 * 4096, head->len);
	return fd;
}

FIXTURE(read)
{
	int fd;
	struct ima_log head;
};

FIXTURE_SETUP(read)
{
	setup_ima(_metadata);
	self->fd = open_with_head(_metadata, &self->head);
}

FIXTURE_TEARDOWN(read)
{
}

static void expect_rest(struct __test_metadata *_metadata, int fd,
			size_t chunk, const struct ima_log *head, size_t from)
{
	struct ima_log log = {};

	ASSERT_EQ(0, read_rest(fd, chunk, &log));
	EXPECT_EQ(head->len - from, log.len);
	EXPECT_EQ(0, memcmp(head->bytes + from, log.bytes, log.len));
	log_free(&log);
}

TEST_F(read, equals_head_of_binary_list)
{
	expect_rest(_metadata, self->fd, 1 << 16, &self->head, 0);
}

TEST_F(read, ends_at_boundary_whatever_follows)
{
	char buf[512];

	/* Records that come while it is open are for the next snapshot. */
	ASSERT_EQ(0, measure_many(20));
	expect_rest(_metadata, self->fd, 1 << 16, &self->head, 0);
	ASSERT_EQ(0, measure_many(20));
	EXPECT_EQ(0, read(self->fd, buf, sizeof(buf)));
	EXPECT_EQ(self->head.len, lseek(self->fd, 0, SEEK_CUR));
}

TEST_F(read, again_after_lseek)
{
	struct stat st;

	for (int i = 0; i < 3; i++) {
		expect_rest(_metadata, self->fd, 1 << 16, &self->head, 0);
		ASSERT_EQ(0, lseek(self->fd, 0, SEEK_SET));
	}
	ASSERT_EQ(0, fstat(self->fd, &st));
	EXPECT_EQ(0600, st.st_mode & 07777);
}

TEST_F(read, from_any_offset)
{
	const size_t len = self->head.len;
	const size_t offset[] = {
		0, 1, 3, 4, self->head.rec[1].offset - 1,
		self->head.rec[1].offset, self->head.rec[1].offset + 1,
		4095, 4096, 4097, len / 2, len - 1, len,
	};

	for (size_t i = 0; i < ARRAY_SIZE(offset); i++) {
		ASSERT_EQ(offset[i], lseek(self->fd, offset[i], SEEK_SET));
		expect_rest(_metadata, self->fd, 1 << 16, &self->head,
			    offset[i]);
	}
	/* And back. */
	for (size_t i = ARRAY_SIZE(offset); i--;) {
		ASSERT_EQ(offset[i], lseek(self->fd, offset[i], SEEK_SET));
		expect_rest(_metadata, self->fd, 4096, &self->head, offset[i]);
	}
}

TEST_F(read, past_the_end)
{
	char c;

	/* Nothing is there, and nothing breaks. */
	ASSERT_EQ(self->head.len + 100,
		  lseek(self->fd, self->head.len + 100, SEEK_SET));
	EXPECT_EQ(0, read(self->fd, &c, 1));
	EXPECT_EQ(0, pread(self->fd, &c, 1, self->head.len));
	EXPECT_EQ(0, pread(self->fd, &c, 1, self->head.len + 100));
	ASSERT_EQ(0, lseek(self->fd, 0, SEEK_SET));
	expect_rest(_metadata, self->fd, 4096, &self->head, 0);
}

TEST_F(read, pread_leaves_position)
{
	const size_t step = 1021;
	__u8 buf[1500];

	for (size_t pos = 0; pos < self->head.len; pos += step) {
		size_t want = self->head.len - pos, got = 0;

		if (want > sizeof(buf))
			want = sizeof(buf);
		/* A read may end early, at the end of a buffer. */
		while (got < want) {
			ssize_t n = pread(self->fd, buf + got, want - got,
					  pos + got);

			ASSERT_LT(0, n);
			got += n;
		}
		EXPECT_EQ(0, memcmp(self->head.bytes + pos, buf, want));
	}
	EXPECT_EQ(0, lseek(self->fd, 0, SEEK_CUR));
	expect_rest(_metadata, self->fd, 4096, &self->head, 0);
}

TEST_F(read, of_zero_bytes)
{
	char c = 'x';

	EXPECT_EQ(0, read(self->fd, &c, 0));
	EXPECT_EQ('x', c);
	expect_rest(_metadata, self->fd, 4096, &self->head, 0);
}

TEST_F(read, into_bad_memory)
{
	void *bad = no_memory();

	ASSERT_NE(NULL, bad);
	EXPECT_EQ(-1, read(self->fd, bad, 100));
	EXPECT_EQ(EFAULT, errno);
	ASSERT_EQ(0, lseek(self->fd, 0, SEEK_SET));
	expect_rest(_metadata, self->fd, 4096, &self->head, 0);
}

FIXTURE(chunk)
{
	int fd;
	struct ima_log head;
};

FIXTURE_VARIANT(chunk)
{
	size_t size;
};

FIXTURE_VARIANT_ADD(chunk, of_1) {
	.size = 1,
};

FIXTURE_VARIANT_ADD(chunk, of_7) {
	.size = 7,
};

FIXTURE_VARIANT_ADD(chunk, of_123) {
	.size = 123,
};

FIXTURE_VARIANT_ADD(chunk, of_4096) {
	.size = 4096,
};

FIXTURE_VARIANT_ADD(chunk, of_4097) {
	.size = 4097,
};

FIXTURE_VARIANT_ADD(chunk, of_64k_and_1) {
	.size = 65537,
};

FIXTURE_VARIANT_ADD(chunk, of_16m) {
	.size = 1 << 24,
};

FIXTURE_SETUP(chunk)
{
	setup_ima(_metadata);
	self->fd = open_with_head(_metadata, &self->head);
}

FIXTURE_TEARDOWN(chunk)
{
}

TEST_F(chunk, reads_the_same)
{
	char buf[16];

	expect_rest(_metadata, self->fd, variant->size, &self->head, 0);
	EXPECT_EQ(0, read(self->fd, buf, sizeof(buf)));
	ASSERT_EQ(0, lseek(self->fd, 0, SEEK_SET));
	expect_rest(_metadata, self->fd, variant->size, &self->head, 0);

	/* All was read, in whatever pieces: that is enough for a purge. */
	EXPECT_EQ(1, write(self->fd, "1", 1));
}

int main(int argc, char **argv)
{
	require_file(SNAPSHOT);
	require_ima();
	return test_harness_run(argc, argv);
}
