// SPDX-License-Identifier: GPL-2.0-only
/*
 * The files that the kernel's configuration promises, and no others
 */

#include "common.h"

static const char *const snapshot_files[] = {
	SNAPSHOT,
	IMA_DIR "snapshot_attempts",
	IMA_DIR "snapshot_purges",
};

/* For whatever takes records out of memory */
static const char *const removal_files[] = {
	IMA_DIR "runtime_measurements_total",
	IMA_DIR "runtime_measurements_size",
};

enum config {
	NOT_READ,
	NOT_KNOWN,
	IS_OFF,
	IS_ON,
};

/* What /proc/config.gz says of an option that IMA may have. */
static enum config read_config(const char *option)
{
	enum config result = NOT_READ;
	char line[256], on[64], off[64];
	FILE *config;

	snprintf(on, sizeof(on), "%s=y\n", option);
	snprintf(off, sizeof(off), "# %s is not set\n", option);
	if (access("/proc/config.gz", F_OK))
		return NOT_READ;
	config = popen("zcat /proc/config.gz", "re");
	if (!config)
		return NOT_READ;
	while (fgets(line, sizeof(line), config)) {
		if (!strcmp(line, "CONFIG_IMA=y\n"))
			result = NOT_KNOWN;
		else if (!strcmp(line, off))
			result = IS_OFF;
		else if (!strcmp(line, on))
			result = IS_ON;
	}
	pclose(config);
	return result;
}

static void expect_files(struct __test_metadata *_metadata,
			 const char *const file[], size_t n, bool there)
{
	for (size_t i = 0; i < n; i++) {
		EXPECT_EQ(there, !access(file[i], F_OK)) {
			TH_LOG("%s", file[i]);
		}
	}
}

TEST(files_are_there_as_configured)
{
	enum config snapshot = read_config("CONFIG_IMA_SNAPSHOT");
	enum config staging = read_config("CONFIG_IMA_STAGING");

	if (snapshot == NOT_READ)
		SKIP(return, "cannot read /proc/config.gz");
	expect_files(_metadata, snapshot_files, ARRAY_SIZE(snapshot_files),
		     snapshot == IS_ON);
	expect_files(_metadata, removal_files, ARRAY_SIZE(removal_files),
		     snapshot == IS_ON || staging == IS_ON);
}

TEST(files_of_the_snapshot_are_there_together_or_not_at_all)
{
	expect_files(_metadata, snapshot_files, ARRAY_SIZE(snapshot_files),
		     !access(SNAPSHOT, F_OK));
	expect_files(_metadata, removal_files, ARRAY_SIZE(removal_files),
		     !access(SNAPSHOT, F_OK) || !access(BINARY_STAGED, F_OK));
}

int main(int argc, char **argv)
{
	if (access(BINARY_LIST, F_OK))
		skip_program("no IMA, or securityfs is not mounted");
	if (access(SNAPSHOT, F_OK) &&
	    read_config("CONFIG_IMA_SNAPSHOT") < IS_OFF)
		skip_program("this kernel knows no CONFIG_IMA_SNAPSHOT");
	return test_harness_run(argc, argv);
}
