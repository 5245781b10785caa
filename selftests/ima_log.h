/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * IMA measurement lists as user space sees them: the binary format, the
 * snapshot_aggregate record, and the replay of a list into PCR values.
 *
 * Nothing here asserts: what is malformed is reported in words, so that a test
 * can show the reason.
 */

#ifndef _SELFTESTS_IMA_LOG_H
#define _SELFTESTS_IMA_LOG_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#define SHA1_SIZE	20
#define SHA256_SIZE	32
#define DIGEST_MAX	64
#define NR_PCRS		24
#define NR_BANKS_MAX	8

/* Deployed verifiers refuse template data longer than this. */
#define TEMPLATE_DATA_MAX 4096

/* One record; the pointers lead into the list that it was parsed from. */
struct ima_record {
	size_t offset;
	size_t len;
	__u32 pcr;
	const __u8 *digest;
	const char *name;
	__u32 name_len;
	const __u8 *data;
	__u32 data_len;
};

struct ima_log {
	__u8 *bytes;
	size_t len;
	struct ima_record *rec;
	size_t count;
};

/* All PCRs of one bank. @listed has a bit for each PCR that a record names. */
struct pcr_bank {
	char alg[24];
	size_t digest_size;
	__u32 listed;
	__u8 pcr[NR_PCRS][DIGEST_MAX];
};

struct aggregate {
	unsigned long attempt;
	unsigned long record_count;
	__u8 segment_hash[SHA256_SIZE];
	size_t nr_banks;
	struct pcr_bank bank[NR_BANKS_MAX];
};

/* Size of a digest of the hash that the kernel calls @alg, 0 if unknown. */
size_t digest_size(const char *alg);

/* Hashes through AF_ALG. Returns 0, or -1 with errno set. */
int hash_bytes(const char *alg, const void *bytes, size_t len, __u8 *digest);

/*
 * Splits @log->bytes into records, with template digests of @digest_len bytes
 * (SHA1_SIZE in binary_runtime_measurements). Returns "" or what is wrong;
 * then @log->count records are good.
 */
const char *log_parse(struct ima_log *log, size_t digest_len);
void log_free(struct ima_log *log);

/* Bytes from the first record to the start of record @n. */
size_t log_offset(const struct ima_log *log, size_t n);
bool log_is_prefix(const struct ima_log *head, const struct ima_log *whole);

/* Field @n of the record's template data, NULL if it has none. */
const __u8 *record_field(const struct ima_record *rec, unsigned int n,
			 __u32 *len);
bool record_has_name(const struct ima_record *rec, const char *event_name);
bool record_is_violation(const struct ima_record *rec);

/* Whether the template digest is the SHA-1 of the template data. */
bool record_digest_is_right(const struct ima_record *rec);

/* Strict parser of the aggregate's text. Returns "" or what is wrong. */
const char *aggregate_parse(const __u8 *text, size_t len,
			    struct aggregate *agg);
const struct pcr_bank *aggregate_bank(const struct aggregate *agg,
				      const char *alg);

/* Value of PCR @pcr after a reset of the platform, PC Client profile. */
__u8 pcr_reset_byte(unsigned int pcr);
void bank_reset(struct pcr_bank *bank, const char *alg);

/* Extends @bank by @n records as the kernel does. Returns 0, or -1 and errno. */
int bank_replay(struct pcr_bank *bank, const struct ima_record *rec, size_t n);

/*
 * Gives @bank the values that the first record of @log was extended to: zeros
 * before boot_aggregate, else those of the snapshot_aggregate the list begins
 * with. False if the list begins with neither: no replay is possible then.
 */
bool bank_before_log(struct pcr_bank *bank, const char *alg,
		     const struct ima_log *log);

#endif /* _SELFTESTS_IMA_LOG_H */
