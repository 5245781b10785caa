// SPDX-License-Identifier: GPL-2.0-only
/*
 * With CONFIG_IMA_SNAPSHOT there are all of its files, without it none
 */

#include "common.h"

static const char *const files[] = {
	SNAPSHOT,
	IMA_DIR "snapshot_attempts",
	IMA_DIR "snapshot_purges",
	IMA_DIR "runtime_measurements_total",
	IMA_DIR "runtime_measurements_size",
};

enum config {
	NOT_READ,
	NOT_KNOWN,
	IS_OFF,
	IS_ON,
};

static enum config read_config(void)
{
	enum config result = NOT_READ;
	char line[256];
	FILE *config;

	if (access("/proc/config.gz", F_OK))
		return NOT_READ;
	config = popen("zcat /proc/config.gz", "re");
	if (!config)
		return NOT_READ;
	while (fgets(line, sizeof(line), config)) {
		if (!strcmp(line, "CONFIG_IMA=y\n"))
			result = NOT_KNOWN;
		else if (!strcmp(line, "# CONFIG_IMA_SNAPSHOT is not set\n"))
			result = IS_OFF;
		else if (!strcmp(line, "CONFIG_IMA_SNAPSHOT=y\n"))
			result = IS_ON;
	}
	pclose(config);
	return result;
}

TEST(files_are_there_as_configured)
{
	enum config config = read_config();

	if (config == NOT_READ)
		SKIP(return, "cannot read /proc/config.gz");
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		EXPECT_EQ(config == IS_ON, !access(files[i], F_OK)) {
			TH_LOG("%s", files[i]);
		}
	}
}

TEST(files_are_there_together_or_not_at_all)
{
	for (size_t i = 1; i < ARRAY_SIZE(files); i++) {
		EXPECT_EQ(!access(files[0], F_OK), !access(files[i], F_OK)) {
			TH_LOG("%s", files[i]);
		}
	}
}

int main(int argc, char **argv)
{
	if (access(BINARY_LIST, F_OK))
		skip_program("no IMA, or securityfs is not mounted");
	if (access(SNAPSHOT, F_OK) && read_config() < IS_OFF)
		skip_program("this kernel knows no CONFIG_IMA_SNAPSHOT");
	return test_harness_run(argc, argv);
}
