// SPDX-License-Identifier: GPL-2.0-only
/*
 * Snapshots while another program uses the TPM
 */

#include "common.h"
#include "replay.h"

#define TPM_SPACE	"/dev/tpmrm0"
#define NR_SNAPSHOTS	100

FIXTURE(foreign)
{
	struct snapshot snap;
	/* Commands that the other program has executed, in shared memory. */
	unsigned long *commands;
	pid_t user;
};

FIXTURE_SETUP(foreign)
{
	if (access(TPM_SPACE, F_OK))
		SKIP(return, "no %s", TPM_SPACE);
	setup_ima(_metadata);
	self->commands = mmap(NULL, sizeof(*self->commands),
			      PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->commands);
}

FIXTURE_TEARDOWN(foreign)
{
}

/* Asks the TPM for random numbers as fast as it can, until it is killed. */
static void __noreturn ask_for_random(unsigned long *commands)
{
	static const __u8 command[] = {
		0x80, 0x01,			/* no sessions */
		0x00, 0x00, 0x00, 0x0c,		/* length */
		0x00, 0x00, 0x01, 0x7b,		/* TPM2_GetRandom */
		0x00, 0x08,
	};
	__u8 answer[64];
	int fd;

	fd = open(TPM_SPACE, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		_exit(KSFT_FAIL);
	for (;;) {
		/* Header, length and eight bytes; the code is 0 on success. */
		if (write(fd, command, sizeof(command)) != sizeof(command) ||
		    read(fd, answer, sizeof(answer)) != 20 ||
		    answer[6] | answer[7] | answer[8] | answer[9])
			_exit(KSFT_FAIL);
		__atomic_fetch_add(commands, 1, __ATOMIC_RELAXED);
	}
}

static unsigned long commands_of(const unsigned long *commands)
{
	return __atomic_load_n(commands, __ATOMIC_RELAXED);
}

TEST_F(foreign, user_of_the_tpm_does_not_harm_the_log)
{
	struct snapshot *snap = &self->snap;
	unsigned int disturbed = 0;

	ensure_replayable(_metadata);
	self->user = fork_child();
	ASSERT_LE(0, self->user);
	if (!self->user)
		ask_for_random(self->commands);

	for (int i = 0; i < NR_SNAPSHOTS; i++) {
		unsigned long before;

		/* Some of them in PCRs that the aggregate reads with PCR 10. */
		ASSERT_EQ(0, measure_new(MEASURED_UID));
		ASSERT_EQ(0, measure_new(other_pcrs[i % 3].uid));
		before = commands_of(self->commands);
		snap->fd = snapshot_open();
		ASSERT_LE(0, snap->fd);
		disturbed += commands_of(self->commands) > before;
		snapshot_load(_metadata, snap);
		expect_replay(_metadata, snap);
		if (i % 3)
			ASSERT_EQ(1, write(snap->fd, "1", 1));
		snapshot_close(_metadata, snap);
		ASSERT_EQ(0, _metadata->exit_code);
	}
	TH_LOG("%lu commands; some of them during %u of %u snapshots",
	       commands_of(self->commands), disturbed, NR_SNAPSHOTS);

	/* It was alive and well all the time. */
	ASSERT_TRUE(kill_child(self->user));
	EXPECT_LE(NR_SNAPSHOTS / 2, disturbed);
	expect_tpm_replay(_metadata);
}

int main(int argc, char **argv)
{
	require_file(SNAPSHOT);
	require_ima();
	return test_harness_run(argc, argv);
}
