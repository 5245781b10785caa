/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whether the aggregates and the TPM hold what the list replays to
 */

#ifndef _SELFTESTS_IMA_REPLAY_H
#define _SELFTESTS_IMA_REPLAY_H

#include "common.h"
#include "tpm.h"

/*
 * A list whose first record's PCR values are known. Staging, which leaves no
 * record of what it deletes, may have cut it.
 */
static void __maybe_unused ensure_replayable(struct __test_metadata *_metadata)
{
	struct pcr_bank bank;
	struct ima_log log = {};
	const char *alg[NR_BANKS_MAX];

	if (!have_tpm())
		return;
	ASSERT_LE(1, tpm_banks(alg));
	ASSERT_STREQ("", log_read(BINARY_LIST, &log));
	if (!bank_before_log(&bank, alg[0], &log))
		purge_all(_metadata);
	log_free(&log);
}

/*
 * In all banks, the PCRs that IMA extends are the replay of the segment. There
 * are none without a TPM.
 */
static void expect_replay(struct __test_metadata *_metadata,
			  const struct snapshot *snap)
{
	EXPECT_EQ(have_tpm(), snap->agg.nr_banks > 0);
	for (size_t i = 0; i < snap->agg.nr_banks; i++) {
		const struct pcr_bank *said = &snap->agg.bank[i];
		struct pcr_bank bank;

		ASSERT_TRUE(bank_before_log(&bank, said->alg, &snap->segment));
		ASSERT_EQ(0, bank_replay(&bank, snap->segment.rec,
					 snap->segment.count));
		EXPECT_EQ(0, memcmp(said->pcr[snap->rec->pcr],
				    bank.pcr[snap->rec->pcr],
				    bank.digest_size)) {
			TH_LOG("%s: not the replay of %zu records", said->alg,
			       snap->segment.count);
		}
		for (size_t j = 0; j < ARRAY_SIZE(other_pcrs); j++) {
			unsigned int pcr = other_pcrs[j].pcr;

			EXPECT_EQ(0, memcmp(said->pcr[pcr], bank.pcr[pcr],
					    bank.digest_size)) {
				TH_LOG("%s: PCR %u is not the replay",
				       said->alg, pcr);
			}
		}
	}
}

/*
 * Whether the PCR is the replay of the list. A record that is measured meanwhile
 * is on the list before it is in the PCR, or comes after the list was read.
 */
static bool replays(const char *alg, bool *possible)
{
	struct ima_log log = {};
	__u8 value[DIGEST_MAX];
	struct pcr_bank bank;
	bool equal = false;

	*possible = !*log_read(BINARY_LIST, &log) &&
		    bank_before_log(&bank, alg, &log) &&
		    !bank_replay(&bank, log.rec, log.count) &&
		    tpm_pcr(alg, log.rec[0].pcr, value);
	if (*possible)
		equal = !memcmp(value, bank.pcr[log.rec[0].pcr],
				bank.digest_size);
	log_free(&log);
	return equal;
}

/* The TPM's own PCRs, if there is one, replay the list as it is now. */
static void expect_tpm_replay(struct __test_metadata *_metadata)
{
	const char *alg[NR_BANKS_MAX];
	int banks;

	if (!have_tpm())
		return;
	banks = tpm_banks(alg);
	ASSERT_LE(1, banks);
	while (banks--) {
		bool equal = false, possible = true;

		for (int i = 0; i < 200 && possible && !equal; i++)
			equal = replays(alg[banks], &possible);
		ASSERT_TRUE(possible);
		EXPECT_TRUE(equal) {
			TH_LOG("%s: the TPM holds something else", alg[banks]);
		}
	}
}

#endif /* _SELFTESTS_IMA_REPLAY_H */
