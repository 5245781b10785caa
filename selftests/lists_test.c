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
	EXPECT_EQ(self->whole.len, log.len);
	EXPECT_TRUE(log_is_prefix(&self->whole, &log));
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
	const char *error;
};

static void *read_and_check(void *arg)
{
	struct reader *reader = arg;
	struct ima_log log = {};

	while (!__atomic_load_n(&reader->stop, __ATOMIC_RELAXED) &&
	       !*reader->error) {
		log.len = 0;
		if (lseek(reader->fd, 0, SEEK_SET) ||
		    read_rest(reader->fd, 511, &log)) {
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
 * the snapshot protects them; of another the environment tells.
 */
static bool readers_are_protected(void)
{
	return !access(SNAPSHOT, F_OK) || getenv("IMA_READERS_PROTECTED");
}

TEST_F_TIMEOUT(lists, deleted_under_a_thread_that_reads, LONG_TIMEOUT)
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
	EXPECT_EQ(0, close(fd));
	EXPECT_EQ(0, close(reader.fd));
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
