// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who may open the snapshot, how often, and what stays when it is closed
 */

#include <sys/socket.h>

#include "common.h"

FIXTURE(open)
{
};

FIXTURE_SETUP(open)
{
	setup_ima(_metadata);
}

FIXTURE_TEARDOWN(open)
{
}

/* The snapshot is in use, and nothing comes of trying. */
static void expect_busy(struct __test_metadata *_metadata)
{
	struct state before = {};

	state_get(_metadata, &before);
	EXPECT_EQ(-1, snapshot_open());
	EXPECT_EQ(EBUSY, errno);
	expect_unchanged(_metadata, &before);
	log_free(&before.log);
}

static void expect_free(struct __test_metadata *_metadata)
{
	int fd = snapshot_open();

	EXPECT_LE(0, fd);
	EXPECT_EQ(0, close(fd));
}

TEST_F(open, mode_of_file)
{
	struct stat st;

	ASSERT_EQ(0, stat(SNAPSHOT, &st));
	EXPECT_EQ(S_IFREG | 0600, st.st_mode);
	EXPECT_EQ(0, st.st_uid);
	EXPECT_EQ(0, st.st_gid);
}

TEST_F(open, adds_one_record)
{
	struct ima_log before = {}, after = {};
	int fd;

	ASSERT_EQ(0, measure_many(3));
	ASSERT_STREQ("", log_read(BINARY_LIST, &before));
	fd = snapshot_open();
	ASSERT_LE(0, fd);
	ASSERT_STREQ("", log_read(BINARY_LIST, &after));

	EXPECT_TRUE(log_is_prefix(&before, &after));
	EXPECT_EQ(1, log_count_name(&after, before.count,
				    "snapshot_aggregate"));

	/* Neither reading nor closing adds another. */
	ASSERT_EQ(0, read_rest(fd, 4096, &before));
	ASSERT_EQ(0, close(fd));
	ASSERT_STREQ("", log_read(BINARY_LIST, &after));
	EXPECT_EQ(1, log_count_name(&after, before.count,
				    "snapshot_aggregate"));
}

FIXTURE(access_mode)
{
};

FIXTURE_VARIANT(access_mode)
{
	int flags;
};

FIXTURE_VARIANT_ADD(access_mode, read_only) {
	.flags = O_RDONLY,
};

FIXTURE_VARIANT_ADD(access_mode, write_only) {
	.flags = O_WRONLY,
};

FIXTURE_VARIANT_ADD(access_mode, write_only_truncating) {
	.flags = O_WRONLY | O_CREAT | O_TRUNC,
};

FIXTURE_VARIANT_ADD(access_mode, write_only_appending) {
	.flags = O_WRONLY | O_CREAT | O_APPEND,
};

FIXTURE_VARIANT_ADD(access_mode, neither) {
	.flags = O_ACCMODE,
};

FIXTURE_VARIANT_ADD(access_mode, read_only_direct) {
	.flags = O_RDONLY | O_DIRECT,
};

FIXTURE_VARIANT_ADD(access_mode, write_only_direct) {
	.flags = O_WRONLY | O_DIRECT,
};

FIXTURE_VARIANT_ADD(access_mode, read_write_direct) {
	.flags = O_RDWR | O_DIRECT,
};

FIXTURE_SETUP(access_mode)
{
	setup_ima(_metadata);
}

FIXTURE_TEARDOWN(access_mode)
{
}

/* A program that only reads or only writes, as grep and echo do, changes no log. */
TEST_F(access_mode, is_refused_and_records_nothing)
{
	struct state before = {};
	int fd;

	state_get(_metadata, &before);
	EXPECT_EQ(-1, open(SNAPSHOT, variant->flags, 0600));
	EXPECT_EQ(EINVAL, errno);
	expect_unchanged(_metadata, &before);

	/* It is refused for its mode even if it would be refused anyway. */
	fd = snapshot_open();
	ASSERT_LE(0, fd);
	EXPECT_EQ(-1, open(SNAPSHOT, variant->flags, 0600));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(0, close(fd));
	expect_free(_metadata);
}

TEST_F(open, for_reading_and_writing_records)
{
	long attempts = counter("snapshot_attempts");
	int fd;

	ASSERT_LE(0, attempts);
	fd = open(SNAPSHOT, O_RDWR | O_CREAT | O_TRUNC, 0600);
	ASSERT_LE(0, fd);
	EXPECT_EQ(attempts + 1, counter("snapshot_attempts"));
	expect_busy(_metadata);
	ASSERT_EQ(0, close(fd));
	EXPECT_EQ(attempts + 1, counter("snapshot_attempts"));
}

TEST_F(open, close_without_write_keeps_everything)
{
	struct ima_log before = {}, after = {};
	struct snapshot snap = {};
	long purges = counter("snapshot_purges");

	ASSERT_EQ(0, measure_many(5));
	ASSERT_STREQ("", log_read(BINARY_LIST, &before));
	snapshot_take(_metadata, &snap);
	ASSERT_EQ(0, measure_many(5));
	snapshot_close(_metadata, &snap);

	ASSERT_STREQ("", log_read(BINARY_LIST, &after));
	EXPECT_TRUE(log_is_prefix(&before, &after));
	EXPECT_LE(before.count + 6, after.count);
	EXPECT_EQ(1, log_count_name(&after, before.count,
				    "snapshot_aggregate"));
	EXPECT_EQ(purges, counter("snapshot_purges"));

	/* The record is an ordinary one to the next snapshot. */
	snapshot_take(_metadata, &snap);
	EXPECT_TRUE(log_is_prefix(&after, &snap.segment));
	snapshot_close(_metadata, &snap);
}

TEST_F(open, without_cap_sys_admin)
{
	struct state before = {};

	state_get(_metadata, &before);
	ASSERT_EQ(0, set_sys_admin(false));
	EXPECT_EQ(-1, snapshot_open());
	EXPECT_EQ(EPERM, errno);
	ASSERT_EQ(0, set_sys_admin(true));
	expect_unchanged(_metadata, &before);
	expect_free(_metadata);
}

TEST_F(open, cap_sys_admin_of_user_namespace)
{
	struct state before = {};
	pid_t child;
	int status;

	state_get(_metadata, &before);
	child = fork_child();
	ASSERT_LE(0, child);
	if (!child) {
		if (unshare(CLONE_NEWUSER))
			_exit(KSFT_SKIP);
		EXPECT_EQ(-1, snapshot_open());
		EXPECT_EQ(EPERM, errno);
		_exit(_metadata->exit_code);
	}
	status = exit_status(child);
	if (status == KSFT_SKIP)
		SKIP(return, "no user namespaces");
	EXPECT_EQ(0, status);
	expect_unchanged(_metadata, &before);
}

TEST_F(open, second_opener_is_refused)
{
	int fd = snapshot_open();
	pid_t child;

	ASSERT_LE(0, fd);
	expect_busy(_metadata);

	child = fork_child();
	ASSERT_LE(0, child);
	if (!child) {
		close(fd);
		expect_busy(_metadata);
		_exit(_metadata->exit_code);
	}
	EXPECT_EQ(0, exit_status(child));
	ASSERT_EQ(0, close(fd));
	expect_free(_metadata);
}

TEST_F(open, exclusive_while_child_holds_it)
{
	int fd, sync[2];
	pid_t child;
	char c;

	ASSERT_EQ(0, pipe2(sync, O_CLOEXEC));
	fd = snapshot_open();
	ASSERT_LE(0, fd);
	child = fork_child();
	ASSERT_LE(0, child);
	if (!child) {
		close(sync[1]);
		/* Until the parent has closed its end. */
		if (read(sync[0], &c, 1))
			_exit(KSFT_FAIL);
		_exit(KSFT_PASS);
	}
	close(sync[0]);

	/* The process that opened the file has let go of it, its child not. */
	ASSERT_EQ(0, close(fd));
	expect_busy(_metadata);

	close(sync[1]);
	EXPECT_EQ(0, exit_status(child));
	expect_free(_metadata);
}

TEST_F(open, outlives_opener_in_child)
{
	int sync[2], go[2];
	long purges;
	pid_t opener;
	char c = 0;

	/* The opener exits; its child reads, purges and says how it went. */
	ASSERT_EQ(0, pipe2(sync, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(go, O_CLOEXEC));
	ASSERT_EQ(0, measure_many(3));
	opener = fork_child();
	ASSERT_LE(0, opener);
	if (!opener) {
		struct snapshot snap = { .fd = snapshot_open() };

		if (snap.fd < 0)
			_exit(KSFT_FAIL);
		if (fork())
			_exit(KSFT_PASS);
		close(go[1]);
		if (read(go[0], &c, 1))
			_exit(KSFT_FAIL);
		snapshot_load(_metadata, &snap);
		c = write(snap.fd, "1", 1);
		close(snap.fd);
		if (write(sync[1], &c, 1) != 1)
			_exit(KSFT_FAIL);
		_exit(KSFT_PASS);
	}
	close(sync[1]);
	close(go[0]);
	EXPECT_EQ(0, exit_status(opener));
	expect_busy(_metadata);

	purges = counter("snapshot_purges");
	close(go[1]);
	ASSERT_EQ(1, read(sync[0], &c, 1));
	EXPECT_EQ(1, c);
	/* End of file: the child is gone. */
	ASSERT_EQ(0, read(sync[0], &c, 1));
	EXPECT_EQ(purges + 1, counter("snapshot_purges"));
	expect_free(_metadata);
}

TEST_F(open, exclusive_while_dup_is_open)
{
	int fd = snapshot_open();
	int other;

	ASSERT_LE(0, fd);
	other = dup(fd);
	ASSERT_LE(0, other);
	ASSERT_EQ(0, close(fd));
	expect_busy(_metadata);
	ASSERT_EQ(0, close(other));
	expect_free(_metadata);
}

static int send_fd(int sock, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = {};
	struct iovec iov = { .iov_base = "f", .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	return sendmsg(sock, &msg, 0) == 1 ? 0 : -1;
}

static int receive_fd(int sock)
{
	char control[CMSG_SPACE(sizeof(int))] = {}, c;
	struct iovec iov = { .iov_base = &c, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg;
	int fd;

	if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) != 1)
		return -1;
	cmsg = CMSG_FIRSTHDR(&msg);
	if (!cmsg || cmsg->cmsg_type != SCM_RIGHTS)
		return -1;
	memcpy(&fd, CMSG_DATA(cmsg), sizeof(int));
	return fd;
}

TEST_F(open, passed_over_socket)
{
	struct snapshot snap = {};
	int sock[2], sync[2], fd;
	pid_t child;
	char c;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock));
	ASSERT_EQ(0, pipe2(sync, O_CLOEXEC));
	ASSERT_EQ(0, measure_many(3));

	child = fork_child();
	ASSERT_LE(0, child);
	if (!child) {
		struct state before = {};

		close(sync[1]);
		if (read(sync[0], &c, 1))
			_exit(KSFT_FAIL);

		/* Received, it is as good as opened here. */
		snap.fd = receive_fd(sock[1]);
		ASSERT_LE(0, snap.fd);
		expect_busy(_metadata);
		snapshot_load(_metadata, &snap);
		state_get(_metadata, &before);
		EXPECT_EQ(1, write(snap.fd, "1", 1));
		EXPECT_EQ(before.purges + 1, counter("snapshot_purges"));
		expect_busy(_metadata);
		EXPECT_EQ(0, close(snap.fd));
		expect_free(_metadata);
		_exit(_metadata->exit_code);
	}
	close(sync[0]);
	close(sock[1]);

	fd = snapshot_open();
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, send_fd(sock[0], fd));
	ASSERT_EQ(0, close(fd));

	/* On its way nobody has it open, and it is still taken. */
	expect_busy(_metadata);
	close(sync[1]);
	EXPECT_EQ(0, exit_status(child));
	expect_free(_metadata);
}

FIXTURE(killed)
{
};

enum stage {
	OPENED,
	HALF_READ,
	ALL_READ,
	PURGED,
};

FIXTURE_VARIANT(killed)
{
	enum stage stage;
};

FIXTURE_VARIANT_ADD(killed, after_open) {
	.stage = OPENED,
};

FIXTURE_VARIANT_ADD(killed, amid_reading) {
	.stage = HALF_READ,
};

FIXTURE_VARIANT_ADD(killed, after_reading) {
	.stage = ALL_READ,
};

FIXTURE_VARIANT_ADD(killed, after_purge) {
	.stage = PURGED,
};

FIXTURE_SETUP(killed)
{
	setup_ima(_metadata);
}

FIXTURE_TEARDOWN(killed)
{
}

/* Takes a snapshot up to @stage, says so, and waits for its end. */
static void __noreturn reach_stage(enum stage stage, size_t half, int ready)
{
	struct ima_log log = {};
	char buf[4096];
	int fd;

	fd = snapshot_open();
	if (fd < 0)
		_exit(KSFT_FAIL);
	if (stage == HALF_READ) {
		while (half) {
			ssize_t n = read(fd, buf, half < sizeof(buf) ?
						  half : sizeof(buf));

			if (n <= 0)
				_exit(KSFT_FAIL);
			half -= n;
		}
	}
	if (stage >= ALL_READ && read_rest(fd, sizeof(buf), &log))
		_exit(KSFT_FAIL);
	if (stage == PURGED && write(fd, "1", 1) != 1)
		_exit(KSFT_FAIL);
	if (write(ready, "", 1) != 1)
		_exit(KSFT_FAIL);
	for (;;)
		pause();
}

TEST_F(killed, log_stays_whole_or_goes_whole)
{
	struct ima_log after = {};
	struct snapshot snap = {};
	struct state before = {};
	int ready[2];
	pid_t child;
	char c;

	ASSERT_EQ(0, pipe2(ready, O_CLOEXEC));
	ASSERT_EQ(0, measure_many(5));
	state_get(_metadata, &before);
	child = fork_child();
	ASSERT_LE(0, child);
	if (!child)
		reach_stage(variant->stage, before.log.len / 2, ready[1]);
	close(ready[1]);
	ASSERT_EQ(1, read(ready[0], &c, 1));
	expect_busy(_metadata);
	ASSERT_TRUE(kill_child(child));

	EXPECT_EQ(before.attempts + 1, counter("snapshot_attempts"));
	ASSERT_STREQ("", log_read(BINARY_LIST, &after));
	if (variant->stage == PURGED) {
		EXPECT_EQ(before.purges + 1, counter("snapshot_purges"));
		EXPECT_TRUE(record_has_name(&after.rec[0],
					    "snapshot_aggregate"));
	} else {
		EXPECT_EQ(before.purges, counter("snapshot_purges"));
		EXPECT_TRUE(log_is_prefix(&before.log, &after));
		EXPECT_EQ(1, log_count_name(&after, before.log.count,
					    "snapshot_aggregate"));
	}

	/* The next one is not in its way, and gets all that there is. */
	snapshot_take(_metadata, &snap);
	EXPECT_TRUE(log_is_prefix(&after, &snap.segment));
	EXPECT_EQ(before.attempts + 2, snap.agg.attempt);
	snapshot_close(_metadata, &snap);
}

int main(int argc, char **argv)
{
	require_file(SNAPSHOT);
	require_ima();
	return test_harness_run(argc, argv);
}
