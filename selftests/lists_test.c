// SPDX-License-Identifier: GPL-2.0-only
/*
 * The measurement lists themselves, with the snapshot or without
 */

#include <pthread.h>

#include "common.h"

FIXTURE(list)
{
	struct ima_log whole;
	int fd;
};

FIXTURE_VARIANT(list)
{
	const char *path;
};

FIXTURE_VARIANT_ADD(list, binary) {
	.path = BINARY_LIST,
};

FIXTURE_VARIANT_ADD(list, ascii) {
	.path = ASCII_LIST,
};

FIXTURE_SETUP(list)
{
	setup_ima(_metadata);
	ASSERT_EQ(0, measure_many(130));
	self->fd = open(variant->path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, read_rest(self->fd, 1 << 20, &self->whole));
	ASSERT_LT(3 * 4096, self->whole.len);
	ASSERT_EQ(0, lseek(self->fd, 0, SEEK_SET));
}

FIXTURE_TEARDOWN(list)
{
}

TEST_F(list, reads_the_same_in_any_pieces)
{
	static const size_t chunk[] = { 1, 7, 123, 4095, 4096, 4097, 65537 };

	for (size_t i = 0; i < ARRAY_SIZE(chunk); i++) {
		struct ima_log log = {};

		ASSERT_EQ(0, lseek(self->fd, 0, SEEK_SET));
		ASSERT_EQ(0, read_rest(self->fd, chunk[i], &log));
		ASSERT_LE(self->whole.len, log.len);
		EXPECT_TRUE(log_is_prefix(&self->whole, &log));
		log_free(&log);
	}
}

TEST_F(list, reads_the_same_from_any_offset)
{
	const size_t step = self->whole.len / 53;
	char buf[600];

	for (size_t i = 0; i < 53; i++) {
		size_t pos = (i * 29 % 53) * step;
		ssize_t n = pread(self->fd, buf, sizeof(buf), pos);

		ASSERT_LT(0, n);
		if (n > self->whole.len - pos)
			n = self->whole.len - pos;
		EXPECT_EQ(0, memcmp(self->whole.bytes + pos, buf, n));
	}
}

TEST_F(list, goes_on_where_its_end_was)
{
	struct ima_log log = {};

	for (int i = 0; i < 5; i++) {
		ASSERT_EQ(0, read_rest(self->fd, 1000 * i + 10, &log));
		ASSERT_EQ(0, measure_many(i));
	}
	ASSERT_EQ(0, read_rest(self->fd, 4096, &log));
	self->whole.len = 0;
	ASSERT_EQ(0, lseek(self->fd, 0, SEEK_SET));
	ASSERT_EQ(0, read_rest(self->fd, 4096, &self->whole));
	EXPECT_LE(log.len, self->whole.len);
	EXPECT_TRUE(log_is_prefix(&log, &self->whole));
}

FIXTURE(lists)
{
	struct ima_log list;
};

FIXTURE_SETUP(lists)
{
	setup_ima(_metadata);
}

FIXTURE_TEARDOWN(lists)
{
}

/* Without CONFIG_IMA_STAGING nothing is deleted through the lists. */
TEST_F(lists, without_staging_delete_nothing)
{
	static const char *const path[] = { BINARY_LIST, ASCII_LIST };
	static const char *const request[] = { "1\n", "2\n", "A\n", "D\n" };

	if (!access(BINARY_STAGED, F_OK))
		SKIP(return, "this kernel has %s", BINARY_STAGED);
	ASSERT_EQ(0, measure_many(5));
	for (int i = 0; i < 2; i++) {
		for (int j = 0; j < 4; j++) {
			struct state before = {};

			state_get(_metadata, &before);
			EXPECT_EQ(-1, list_write(path[i], request[j])) {
				TH_LOG("%c to %s", request[j][0], path[i]);
			}
			expect_unchanged(_metadata, &before);
			log_free(&before.log);
		}
	}
}

static void require_staging(struct __test_metadata *_metadata)
{
	if (access(BINARY_STAGED, F_OK))
		SKIP(return, "this kernel has no %s", BINARY_STAGED);
}

/* With ima_flush_htable, what is deleted is forgotten, and only that. */
TEST_F(lists, flushing_keeps_what_was_not_deleted)
{
	static const char *const staged[] = { WORK_DIR "/staged" };
	static const char *const kept[] = { WORK_DIR "/kept" };
	struct ima_log *list = &self->list;

	require_staging(_metadata);
	if (_metadata->exit_code)
		return;
	if (!on_command_line("ima_flush_htable"))
		SKIP(return, "no ima_flush_htable on the command line");

	ASSERT_EQ(0, measure_same(staged, 1));
	ASSERT_EQ(0, list_write(BINARY_STAGED, "A\n"));
	ASSERT_EQ(0, measure_same(kept, 1));
	ASSERT_STREQ("", log_read(BINARY_LIST, list));
	ASSERT_EQ(1, log_count_name(list, 0, kept[0]));

	ASSERT_EQ(0, list_write(BINARY_STAGED, "D\n"));
	ASSERT_EQ(0, measure_same(staged, 1));
	ASSERT_EQ(0, measure_same(kept, 1));
	ASSERT_STREQ("", log_read(BINARY_LIST, list));
	EXPECT_EQ(1, log_count_name(list, 0, staged[0]));
	EXPECT_EQ(1, log_count_name(list, 0, kept[0]));
}

/* A thread that reads in the writer's own process, and how it fares. */
struct reader {
	int fd;
	bool stop;
	unsigned long rounds;
	unsigned long holes;
	const char *error;
};

static void *read_and_check(void *arg)
{
	struct reader *reader = arg;
	struct ima_log log = {};

	while (!__atomic_load_n(&reader->stop, __ATOMIC_RELAXED) &&
	       !*reader->error) {
		log.len = 0;
		if (lseek(reader->fd, 0, SEEK_SET)) {
			reader->error = "lseek failed";
			break;
		}
		/* What it has not read yet may go: then it begins again. */
		if (read_rest(reader->fd, 511, &log)) {
			if (errno == ESTALE) {
				reader->holes++;
				continue;
			}
			reader->error = "read failed";
			break;
		}
		reader->error = log_parse(&log, SHA1_SIZE);
		for (size_t i = 0; i < log.count && !*reader->error; i++) {
			if (!record_is_violation(&log.rec[i]) &&
			    !record_digest_is_right(&log.rec[i]))
				reader->error = "a record is not its digest";
		}
		reader->rounds++;
	}
	log_free(&log);
	return NULL;
}

/*
 * A kernel that does not protect readers from a deletion by their own process
 * uses memory after it was freed there, and panics: 7.2 and 7.3 do. One that has
 * the snapshot protects them. For another, set the environment variable.
 */
static bool readers_are_protected(void)
{
	return !access(SNAPSHOT, F_OK) || getenv("IMA_READERS_PROTECTED");
}

TEST_F(lists, deleted_under_a_thread_that_reads)
{
	struct reader reader = { .error = "" };
	pthread_t thread;
	char all[24];
	int fd;

	require_staging(_metadata);
	if (_metadata->exit_code)
		return;
	if (on_command_line("ima_flush_htable"))
		SKIP(return, "ima_flush_htable rules out deleting N records");
	if (!readers_are_protected())
		SKIP(return, "it may panic this kernel, unless IMA_READERS_PROTECTED is set");

	/* A short list: the reader is always near what is deleted. */
	snprintf(all, sizeof(all), "%ld\n",
		 counter("runtime_measurements_count"));
	ASSERT_EQ(0, list_write(BINARY_LIST, all));
	ASSERT_EQ(0, measure_many(6));

	/* One writer has both: a list to read in, and one to delete by. */
	reader.fd = open(BINARY_LIST, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, reader.fd);
	fd = open(BINARY_LIST, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, pthread_create(&thread, NULL, read_and_check, &reader));
	for (int i = 0; i < 600; i++) {
		ASSERT_EQ(0, measure_many(3));
		ASSERT_EQ(2, write(fd, "3\n", 2));
	}
	__atomic_store_n(&reader.stop, true, __ATOMIC_RELAXED);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_STREQ("", reader.error);
	EXPECT_LT(0, reader.rounds);
	TH_LOG("%lu rounds, %lu cut short", reader.rounds, reader.holes);
	EXPECT_EQ(0, close(fd));
	EXPECT_EQ(0, close(reader.fd));
}

/* Reads what is left, with one error for the records that were missed. */
static void expect_hole(struct __test_metadata *_metadata, int fd,
			struct ima_log *log)
{
	EXPECT_EQ(-1, read_rest(fd, 511, log));
	EXPECT_EQ(ESTALE, errno);
	EXPECT_EQ(0, read_rest(fd, 511, log));
}

/* What is deleted before it was read is missing from what is read. */
TEST_F(lists, deletion_is_reported_to_a_reader_that_missed_records)
{
	struct ima_log *list = &self->list, seen = {}, after = {};
	char request[24];
	int fd[2];

	require_staging(_metadata);
	if (_metadata->exit_code)
		return;
	if (on_command_line("ima_flush_htable"))
		SKIP(return, "ima_flush_htable rules out deleting N records");
	if (!readers_are_protected())
		SKIP(return, "this kernel does not report it, unless IMA_READERS_PROTECTED is set");

	ASSERT_EQ(0, measure_many(100));
	ASSERT_STREQ("", log_read(BINARY_LIST, list));
	for (int i = 0; i < 2; i++) {
		fd[i] = open(BINARY_LIST, O_RDWR | O_CLOEXEC);
		ASSERT_LE(0, fd[i]);
	}

	/* One reader has read all of it, the other one a part. */
	ASSERT_EQ(0, read_rest(fd[0], 1 << 16, &seen));
	ASSERT_LE(list->len, seen.len);
	seen.bytes = realloc(seen.bytes, seen.len + 700);
	ASSERT_NE(NULL, seen.bytes);
	ASSERT_EQ(700, read(fd[1], seen.bytes, 700));
	seen.len = 700;
	snprintf(request, sizeof(request), "%zu\n", list->count - 2);
	ASSERT_EQ(strlen(request), write(fd[1], request, strlen(request)));
	ASSERT_EQ(0, measure_many(3));

	expect_hole(_metadata, fd[1], &seen);
	EXPECT_STREQ("", log_parse(&seen, SHA1_SIZE));
	EXPECT_GT(list->count, seen.count);
	ASSERT_EQ(0, read_rest(fd[0], 1 << 16, &after));
	EXPECT_STREQ("", log_parse(&after, SHA1_SIZE));
	EXPECT_LE(3, after.count);

	/* From its beginning, it is the list as it is. */
	ASSERT_EQ(0, lseek(fd[1], 0, SEEK_SET));
	seen.len = 0;
	ASSERT_EQ(0, read_rest(fd[1], 511, &seen));
	EXPECT_STREQ("", log_parse(&seen, SHA1_SIZE));
	EXPECT_LE(5, seen.count);
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(0, close(fd[i]));
	log_free(&seen);
	log_free(&after);
}

TEST_F(lists, staging_is_reported_to_a_reader_that_missed_records)
{
	struct ima_log seen = {};
	int list, staged;

	require_staging(_metadata);
	if (_metadata->exit_code)
		return;
	if (!readers_are_protected())
		SKIP(return, "this kernel does not report it, unless IMA_READERS_PROTECTED is set");

	ASSERT_EQ(0, measure_many(100));
	list = open(BINARY_LIST, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, list);
	staged = open(BINARY_STAGED, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, staged);
	seen.bytes = malloc(700);
	ASSERT_NE(NULL, seen.bytes);

	ASSERT_EQ(700, read(list, seen.bytes, 700));
	ASSERT_EQ(2, write(staged, "A\n", 2));
	seen.len = 700;
	expect_hole(_metadata, list, &seen);

	ASSERT_EQ(700, read(staged, seen.bytes, 700));
	ASSERT_EQ(2, write(staged, "D\n", 2));
	seen.len = 700;
	expect_hole(_metadata, staged, &seen);

	/* One that had read all that was deleted misses nothing. */
	ASSERT_EQ(0, measure_many(3));
	ASSERT_EQ(2, write(staged, "A\n", 2));
	seen.len = 0;
	ASSERT_EQ(0, lseek(staged, 0, SEEK_SET));
	ASSERT_EQ(0, read_rest(staged, 511, &seen));
	EXPECT_LT(0, seen.len);
	ASSERT_EQ(2, write(staged, "D\n", 2));
	seen.len = 0;
	EXPECT_EQ(0, read_rest(staged, 511, &seen));
	EXPECT_EQ(0, seen.len);
	EXPECT_EQ(0, close(list));
	EXPECT_EQ(0, close(staged));
	log_free(&seen);
}

FIXTURE(writer)
{
};

FIXTURE_SETUP(writer)
{
	setup_ima(_metadata);
}

FIXTURE_TEARDOWN(writer)
{
}

/* To be last: a kernel without the fix refuses all writers from then on. */
TEST_F(writer, that_hands_its_files_to_a_child)
{
	int gone[2];
	pid_t opener;
	char c;

	require_staging(_metadata);
	if (_metadata->exit_code)
		return;

	ASSERT_EQ(0, pipe2(gone, O_CLOEXEC));
	opener = fork_child();
	ASSERT_LE(0, opener);
	if (!opener) {
		int fd[2], exited[2];

		fd[0] = open(BINARY_LIST, O_WRONLY | O_CLOEXEC);
		fd[1] = open(BINARY_STAGED, O_WRONLY | O_CLOEXEC);
		if (fd[0] < 0 || fd[1] < 0 || pipe2(exited, O_CLOEXEC))
			_exit(KSFT_FAIL);
		if (fork())
			_exit(KSFT_PASS);
		close(exited[1]);
		/* The opener is gone before its files are. */
		if (read(exited[0], &c, 1))
			_exit(KSFT_FAIL);
		close(fd[0]);
		close(fd[1]);
		_exit(KSFT_PASS);
	}
	close(gone[1]);
	EXPECT_EQ(0, exit_status(opener));
	/* End of file: so is the child. */
	ASSERT_EQ(0, read(gone[0], &c, 1));

	for (int i = 0; i < 2; i++) {
		int fd = open(BINARY_STAGED, O_WRONLY | O_CLOEXEC);

		EXPECT_LE(0, fd) {
			TH_LOG("nobody has it open: %s", strerror(errno));
		}
		if (fd >= 0)
			EXPECT_EQ(0, close(fd));
	}
	EXPECT_EQ(0, open_for_reading(BINARY_LIST));
}

int main(int argc, char **argv)
{
	require_ima();
	return test_harness_run(argc, argv);
}
