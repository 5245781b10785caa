// SPDX-License-Identifier: GPL-2.0-only
/*
 * Purges leave a trace in the audit log, refused ones too
 */

#include <linux/audit.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "common.h"

FIXTURE(audit)
{
	struct snapshot snap;
	int sock;
};

FIXTURE_SETUP(audit)
{
	struct sockaddr_nl addr = {
		.nl_family = AF_NETLINK,
		.nl_groups = 1 << (AUDIT_NLGRP_READLOG - 1),
	};
	/* Only for a message that never comes. */
	struct timeval patience = { .tv_sec = 60 };

	self->sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC,
			    NETLINK_AUDIT);
	if (self->sock < 0)
		SKIP(return, "no audit (CONFIG_AUDIT)");
	ASSERT_EQ(0, bind(self->sock, (struct sockaddr *)&addr,
			  sizeof(addr)));
	ASSERT_EQ(0, setsockopt(self->sock, SOL_SOCKET, SO_RCVTIMEO, &patience,
				sizeof(patience)));
	setup_ima(_metadata);
	ASSERT_EQ(0, measure_many(5));
}

FIXTURE_TEARDOWN(audit)
{
}

/* The next message about a purge, and that it is this one. */
static void expect_message(struct __test_metadata *_metadata, int sock,
			   const char *cause, const char *result)
{
	for (;;) {
		char buf[8192];
		struct nlmsghdr *head = (void *)buf;
		char *text = NLMSG_DATA(head);
		ssize_t len;

		len = recv(sock, buf, sizeof(buf) - 1, 0);
		ASSERT_LT(NLMSG_HDRLEN, len) {
			TH_LOG("no message for %s", cause);
		}
		buf[len] = '\0';
		if (head->nlmsg_type != AUDIT_INTEGRITY_STATUS ||
		    !strstr(text, " op=snapshot_purge "))
			continue;
		EXPECT_NE(NULL, strstr(text, cause)) {
			TH_LOG("'%s' is not in '%s'", cause, text);
		}
		EXPECT_NE(NULL, strstr(text, result)) {
			TH_LOG("'%s' is not in '%s'", result, text);
		}
		return;
	}
}

TEST_F(audit, purges_and_refusals)
{
	struct snapshot *snap = &self->snap;
	char refused[64], purged[64];
	void *bad = no_memory();
	long attempt;

	snap->fd = snapshot_open();
	ASSERT_LE(0, snap->fd);
	attempt = counter("snapshot_attempts");
	snprintf(refused, sizeof(refused), " cause=attempt:%ld,purged:0 ",
		 attempt);

	EXPECT_EQ(-1, write(snap->fd, "1", 1));
	EXPECT_EQ(EPROTO, errno);
	expect_message(_metadata, self->sock, refused, " res=0 ");

	snapshot_load(_metadata, snap);
	snprintf(purged, sizeof(purged), " cause=attempt:%ld,purged:%zu ",
		 attempt, snap->segment.count);
	ASSERT_EQ(0, set_sys_admin(false));
	EXPECT_EQ(-1, write(snap->fd, "1", 1));
	EXPECT_EQ(EPERM, errno);
	ASSERT_EQ(0, set_sys_admin(true));
	expect_message(_metadata, self->sock, refused, " res=0 ");

	ASSERT_NE(NULL, bad);
	EXPECT_EQ(-1, write(snap->fd, bad, 1));
	EXPECT_EQ(EFAULT, errno);
	expect_message(_metadata, self->sock, refused, " res=0 ");

	/* This one asks for nothing, and leaves no message. */
	EXPECT_EQ(0, write(snap->fd, "", 0));
	EXPECT_EQ(1, write(snap->fd, "1", 1));
	expect_message(_metadata, self->sock, purged, " res=1 ");

	EXPECT_EQ(-1, write(snap->fd, "1", 1));
	EXPECT_EQ(EALREADY, errno);
	expect_message(_metadata, self->sock, refused, " res=0 ");
	snapshot_close(_metadata, snap);
}

int main(int argc, char **argv)
{
	require_file(SNAPSHOT);
	require_ima();
	return test_harness_run(argc, argv);
}
