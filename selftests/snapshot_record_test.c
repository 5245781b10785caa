// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the snapshot_aggregate record says, and that it is true
 */

#include "common.h"
#include "replay.h"

FIXTURE(record)
{
	struct snapshot snap;
};

FIXTURE_SETUP(record)
{
	setup_ima(_metadata);
}

FIXTURE_TEARDOWN(record)
{
}

TEST_F(record, is_ima_buf_that_verifiers_replay)
{
	struct snapshot *snap = &self->snap;
	const __u8 *field, *text;
	__u32 len, text_len;
	__u8 digest[DIGEST_MAX];
	const __u8 *colon;
	char alg[24] = {};

	/* The list may begin with any record, if staging cut it. */
	purge_all(_metadata);
	snapshot_take(_metadata, snap);
	EXPECT_EQ(7, snap->rec->name_len);
	EXPECT_EQ(0, memcmp("ima-buf", snap->rec->name, 7));
	/* The PCR of the aggregate before. */
	EXPECT_EQ(snap->list.rec[0].pcr, snap->rec->pcr);
	EXPECT_FALSE(record_is_violation(snap->rec));
	EXPECT_TRUE(record_digest_is_right(snap->rec));

	text = record_field(snap->rec, 2, &text_len);
	ASSERT_NE(NULL, text);
	EXPECT_EQ(';', text[text_len - 1]);

	/* "sha256:", a NUL, and the hash of the text. */
	field = record_field(snap->rec, 0, &len);
	ASSERT_NE(NULL, field);
	colon = memchr(field, ':', len);
	ASSERT_NE(NULL, colon);
	ASSERT_GT(sizeof(alg), colon - field);
	memcpy(alg, field, colon - field);
	ASSERT_NE(0, digest_size(alg));
	ASSERT_EQ(strlen(alg) + 2 + digest_size(alg), len);
	EXPECT_EQ(0, field[strlen(alg) + 1]);
	ASSERT_EQ(0, hash_bytes(alg, text, text_len, digest));
	EXPECT_EQ(0, memcmp(digest, field + strlen(alg) + 2,
			    digest_size(alg)));

	/* Nothing behind the third field. */
	EXPECT_EQ(NULL, record_field(snap->rec, 3, &len));
	EXPECT_EQ(snap->rec->data + snap->rec->data_len, text + text_len);
	snapshot_close(_metadata, snap);
}

TEST_F(record, is_in_every_list)
{
	const char *alg[NR_BANKS_MAX];
	struct snapshot *snap = &self->snap;
	int banks;

	if (!have_tpm())
		SKIP(return, "no TPM");
	banks = tpm_banks(alg);
	ASSERT_LE(1, banks);
	snapshot_take(_metadata, snap);

	for (int i = 0; i < banks; i++) {
		size_t size = digest_size(alg[i]);
		struct ima_log log = {};
		__u8 digest[DIGEST_MAX];
		char path[128];
		int fd;

		snprintf(path, sizeof(path), BINARY_LIST "_%s", alg[i]);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, read_rest(fd, 4096, &log));
		ASSERT_EQ(0, close(fd));
		ASSERT_STREQ("", log_parse(&log, size));
		ASSERT_LT(snap->segment.count, log.count);

		ASSERT_EQ(snap->rec->data_len,
			  log.rec[snap->segment.count].data_len);
		EXPECT_EQ(0, memcmp(snap->rec->data,
				    log.rec[snap->segment.count].data,
				    snap->rec->data_len));
		ASSERT_EQ(0, hash_bytes(alg[i], snap->rec->data,
					snap->rec->data_len, digest));
		EXPECT_EQ(0, memcmp(digest,
				    log.rec[snap->segment.count].digest,
				    size));
		log_free(&log);
	}
	snapshot_close(_metadata, snap);
}

TEST_F(record, names_all_banks_in_order_of_tpm)
{
	const char *alg[NR_BANKS_MAX];
	struct snapshot *snap = &self->snap;
	int banks;

	if (!have_tpm())
		SKIP(return, "no TPM");
	banks = tpm_banks(alg);
	ASSERT_LE(1, banks);
	snapshot_take(_metadata, snap);
	ASSERT_EQ(banks, snap->agg.nr_banks);
	for (int i = 0; i < banks; i++)
		EXPECT_STREQ(alg[i], snap->agg.bank[i].alg);
	snapshot_close(_metadata, snap);
}

TEST_F(record, lists_all_pcrs)
{
	__u8 value[NR_BANKS_MAX][NR_PCRS][DIGEST_MAX];
	const char *alg[NR_BANKS_MAX];
	struct snapshot *snap = &self->snap;
	__u32 extended = 0;
	int banks;

	if (!have_tpm())
		SKIP(return, "no TPM");
	banks = tpm_banks(alg);
	ASSERT_LE(1, banks);
	for (int i = 0; i < banks; i++) {
		for (unsigned int pcr = 0; pcr < NR_PCRS; pcr++)
			ASSERT_TRUE(tpm_pcr(alg[i], pcr, value[i][pcr]));
	}
	snapshot_take(_metadata, snap);
	ASSERT_EQ(banks, snap->agg.nr_banks);
	for (size_t i = 0; i < snap->list.count; i++)
		extended |= 1U << snap->list.rec[i].pcr;
	for (int i = 0; i < banks; i++) {
		const struct pcr_bank *bank = &snap->agg.bank[i];

		/* An unlisted PCR has its reset value here. */
		for (unsigned int pcr = 0; pcr < NR_PCRS; pcr++) {
			/* Others are measured: the replay is the test of it. */
			if (extended & 1U << pcr)
				continue;
			EXPECT_EQ(0, memcmp(value[i][pcr], bank->pcr[pcr],
					    bank->digest_size)) {
				TH_LOG("%s:PCR%u", alg[i], pcr);
			}
		}
	}
	snapshot_close(_metadata, snap);
}

/* Length of the record's template data if all PCRs were listed. */
static size_t full_length(const struct snapshot *snap)
{
	size_t len = snap->rec->data_len;

	for (size_t i = 0; i < snap->agg.nr_banks; i++) {
		const struct pcr_bank *bank = &snap->agg.bank[i];

		for (unsigned int pcr = 0; pcr < NR_PCRS; pcr++) {
			/* <alg> ":PCR" <n> ":0x" <hex>, and a comma. */
			if (!(bank->listed & 1U << pcr))
				len += strlen(bank->alg) + 4 +
				       (pcr < 10 ? 1 : 2) + 3 +
				       2 * bank->digest_size + 1;
		}
	}
	return len;
}

TEST_F(record, leaves_out_reset_pcrs_only_when_too_long)
{
	struct snapshot *snap = &self->snap;
	bool too_long;

	if (!have_tpm())
		SKIP(return, "no TPM");
	snapshot_take(_metadata, snap);
	too_long = full_length(snap) > TEMPLATE_DATA_MAX;
	TH_LOG("%zu banks, %u bytes, %zu with every PCR", snap->agg.nr_banks,
	       snap->rec->data_len, full_length(snap));

	for (size_t i = 0; i < snap->agg.nr_banks; i++) {
		const struct pcr_bank *bank = &snap->agg.bank[i];

		for (unsigned int pcr = 0; pcr < NR_PCRS; pcr++) {
			bool reset = true;

			for (size_t j = 0; j < bank->digest_size; j++)
				reset &= bank->pcr[pcr][j] ==
					 pcr_reset_byte(pcr);
			EXPECT_EQ(!(too_long && reset),
				  !!(bank->listed & 1U << pcr)) {
				TH_LOG("%s:PCR%u", bank->alg, pcr);
			}
		}
	}
	EXPECT_GE(TEMPLATE_DATA_MAX, snap->rec->data_len);
	snapshot_close(_metadata, snap);
}

TEST_F(record, has_hash_of_segment)
{
	struct snapshot *snap = &self->snap;
	__u8 digest[DIGEST_MAX];

	ASSERT_EQ(0, measure_many(20));
	for (int i = 0; i < 3; i++) {
		snapshot_take(_metadata, snap);
		ASSERT_EQ(0, hash_bytes("sha256", snap->segment.bytes,
					snap->segment.len, digest));
		EXPECT_EQ(0, memcmp(digest, snap->agg.segment_hash,
				    SHA256_SIZE));
		/* After a purge the segment has another head. */
		ASSERT_EQ(1, write(snap->fd, "1", 1));
		snapshot_close(_metadata, snap);
		ASSERT_EQ(0, measure_many(i));
	}
}

TEST_F(record, counts_records_since_boot)
{
	struct snapshot *snap = &self->snap;
	struct aggregate first;
	long before;

	purge_all(_metadata);
	ASSERT_EQ(0, measure_many(7));
	before = counter("runtime_measurements_total");
	snapshot_take(_metadata, snap);
	first = snap->agg;
	/* Others may be measured before and after this record. */
	EXPECT_LE(before, first.record_count);
	EXPECT_GE(counter("runtime_measurements_total") - 1, first.record_count);
	ASSERT_EQ(1, write(snap->fd, "1", 1));
	snapshot_close(_metadata, snap);

	/* Purged records still count. */
	ASSERT_EQ(0, measure_many(4));
	snapshot_take(_metadata, snap);
	EXPECT_LE(5, snap->segment.count);
	EXPECT_EQ(first.record_count + snap->segment.count,
		  snap->agg.record_count);
	EXPECT_EQ(first.attempt + 1, snap->agg.attempt);
	snapshot_close(_metadata, snap);
}

TEST_F(record, counts_attempts_without_gap)
{
	long attempts = counter("snapshot_attempts");
	struct snapshot *snap = &self->snap;

	ASSERT_LE(0, attempts);
	for (int i = 0; i < 6; i++) {
		snapshot_take(_metadata, snap);
		EXPECT_EQ(attempts + i + 1, snap->agg.attempt);
		EXPECT_EQ(attempts + i + 1, counter("snapshot_attempts"));
		/* A refused open does not count, nor does a purge. */
		EXPECT_EQ(-1, snapshot_open());
		if (i & 1)
			EXPECT_EQ(1, write(snap->fd, "1", 1));
		snapshot_close(_metadata, snap);
		EXPECT_EQ(attempts + i + 1, counter("snapshot_attempts"));
	}
}

TEST_F(record, equals_replay_of_whole_list)
{
	struct snapshot *snap = &self->snap;

	if (!have_tpm())
		SKIP(return, "no TPM");
	ensure_replayable(_metadata);
	ASSERT_EQ(0, measure_many(10));
	snapshot_take(_metadata, snap);
	expect_replay(_metadata, snap);
	ASSERT_EQ(0, measure_many(10));
	expect_tpm_replay(_metadata);
	ASSERT_EQ(1, write(snap->fd, "1", 1));
	expect_tpm_replay(_metadata);
	snapshot_close(_metadata, snap);
	expect_tpm_replay(_metadata);
}

FIXTURE(load)
{
	struct snapshot snap;
	pid_t child[4];
};

FIXTURE_VARIANT(load)
{
	uid_t uid[4];
};

FIXTURE_VARIANT_ADD(load, one_pcr) {
	.uid = { MEASURED_UID, MEASURED_UID, MEASURED_UID, MEASURED_UID },
};

FIXTURE_VARIANT_ADD(load, two_pcrs) {
	.uid = { MEASURED_UID, OTHER_PCR_UID, MEASURED_UID, OTHER_PCR_UID },
};

/* With three banks these are more values than one TPM2_PCR_Read returns. */
FIXTURE_VARIANT_ADD(load, four_pcrs) {
	.uid = { MEASURED_UID, OTHER_PCR_UID, OTHER_PCR_UID + 1,
		 OTHER_PCR_UID + 2 },
};

FIXTURE_SETUP(load)
{
	setup_ima(_metadata);
}

FIXTURE_TEARDOWN(load)
{
}

TEST_F(load, record_is_true)
{
	struct snapshot *snap = &self->snap;
	unsigned long records;
	long last_count = -1;

	ensure_replayable(_metadata);
	records = counter("runtime_measurements_total");
	for (int i = 0; i < 4; i++) {
		self->child[i] = fork_load(variant->uid[i]);
		ASSERT_LE(0, self->child[i]);
	}

	for (int i = 0; i < 24; i++) {
		__u8 digest[DIGEST_MAX];

		snapshot_take(_metadata, snap);
		expect_replay(_metadata, snap);
		ASSERT_EQ(0, hash_bytes("sha256", snap->segment.bytes,
					snap->segment.len, digest));
		EXPECT_EQ(0, memcmp(digest, snap->agg.segment_hash,
				    SHA256_SIZE));
		if (last_count >= 0) {
			EXPECT_EQ(last_count + snap->segment.count,
				  snap->agg.record_count);
		}

		/* Some are purged: the next segment begins with this record. */
		last_count = -1;
		if (i % 3) {
			ASSERT_EQ(1, write(snap->fd, "1", 1));
			last_count = snap->agg.record_count;
		}
		snapshot_close(_metadata, snap);
		ASSERT_EQ(0, _metadata->exit_code);
	}

	for (int i = 0; i < 4; i++)
		ASSERT_TRUE(kill_child(self->child[i]));
	expect_tpm_replay(_metadata);

	/* It was a load: far more records than the snapshots themselves. */
	EXPECT_LT(records + 24 + 100, counter("runtime_measurements_total"));
}

TEST_F(record, covers_violations)
{
	const char *written = WORK_DIR "/open-writers";
	const char *changed = WORK_DIR "/tomtou";
	struct snapshot *snap = &self->snap;
	long violations = counter("violations");
	unsigned int found = 0;
	int reader, writer;

	ensure_replayable(_metadata);

	/* Opened for writing while somebody reads what was measured. */
	ASSERT_EQ(0, make_new_file(changed, MEASURED_UID));
	reader = open(changed, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, reader);
	writer = open(changed, O_WRONLY | O_CLOEXEC);
	ASSERT_LE(0, writer);
	close(reader);
	close(writer);

	/* Measured while somebody has it open for writing. */
	ASSERT_EQ(0, make_new_file(written, MEASURED_UID));
	writer = open(written, O_WRONLY | O_CLOEXEC);
	ASSERT_LE(0, writer);
	ASSERT_EQ(0, open_for_reading(written));
	close(writer);
	EXPECT_LE(violations + 2, counter("violations"));
	ASSERT_EQ(0, measure_many(3));

	snapshot_take(_metadata, snap);
	for (size_t i = 0; i < snap->segment.count; i++) {
		const struct ima_record *rec = &snap->segment.rec[i];

		if (record_is_violation(rec) &&
		    (record_has_name(rec, changed) ||
		     record_has_name(rec, written)))
			found++;
	}
	EXPECT_EQ(2, found);
	expect_replay(_metadata, snap);
	ASSERT_EQ(1, write(snap->fd, "1", 1));
	snapshot_close(_metadata, snap);
	expect_tpm_replay(_metadata);
	EXPECT_LE(violations + 2, counter("violations"));
}

TEST_F(record, without_tpm_has_no_banks)
{
	struct snapshot *snap = &self->snap;
	__u8 digest[DIGEST_MAX];

	if (have_tpm())
		SKIP(return, "there is a TPM");
	ASSERT_EQ(0, measure_many(5));
	snapshot_take(_metadata, snap);
	EXPECT_EQ(0, snap->agg.nr_banks);
	EXPECT_LT(0, snap->agg.attempt);
	EXPECT_LE(snap->segment.count, snap->agg.record_count);
	ASSERT_EQ(0, hash_bytes("sha256", snap->segment.bytes,
				snap->segment.len, digest));
	EXPECT_EQ(0, memcmp(digest, snap->agg.segment_hash, SHA256_SIZE));
	ASSERT_EQ(1, write(snap->fd, "1", 1));
	snapshot_close(_metadata, snap);

	snapshot_take(_metadata, snap);
	EXPECT_TRUE(record_has_name(&snap->segment.rec[0],
				    "snapshot_aggregate"));
	snapshot_close(_metadata, snap);
}

int main(int argc, char **argv)
{
	require_file(SNAPSHOT);
	require_ima();
	return test_harness_run(argc, argv);
}
