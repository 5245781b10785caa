// SPDX-License-Identifier: GPL-2.0-only
/*
 * IMA measurement lists as user space sees them
 */

#include <errno.h>
#include <linux/if_alg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kselftest.h"
#include "ima_log.h"

static const struct {
	const char *alg;
	size_t size;
} digest_sizes[] = {
	{ "sha1", 20 },
	{ "sha256", 32 },
	{ "sha384", 48 },
	{ "sha512", 64 },
	{ "sm3", 32 },
	{ "md5", 16 },
};

static int alg_index(const char *alg)
{
	for (size_t i = 0; i < ARRAY_SIZE(digest_sizes); i++) {
		if (!strcmp(digest_sizes[i].alg, alg))
			return i;
	}
	return -1;
}

size_t digest_size(const char *alg)
{
	int i = alg_index(alg);

	return i < 0 ? 0 : digest_sizes[i].size;
}

static int hash_open(const char *alg)
{
	struct sockaddr_alg addr = {
		.salg_family = AF_ALG,
		.salg_type = "hash",
	};
	int sock, op;

	sock = socket(AF_ALG, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return -1;

	snprintf((char *)addr.salg_name, sizeof(addr.salg_name), "%s", alg);
	if (bind(sock, (struct sockaddr *)&addr, sizeof(addr))) {
		close(sock);
		return -1;
	}

	op = accept4(sock, NULL, NULL, SOCK_CLOEXEC);
	close(sock);
	return op;
}

int hash_bytes(const char *alg, const void *bytes, size_t len, __u8 *digest)
{
	/* Hashes of two processes must not meet in one inherited socket. */
	static struct {
		pid_t owner;
		int fd;
	} cache[ARRAY_SIZE(digest_sizes)];
	int i = alg_index(alg);

	if (i < 0) {
		errno = ENOENT;
		return -1;
	}

	if (cache[i].owner != getpid()) {
		cache[i].fd = hash_open(alg);
		if (cache[i].fd < 0)
			return -1;
		cache[i].owner = getpid();
	}

	while (len) {
		ssize_t n = send(cache[i].fd, bytes, len, MSG_MORE);

		if (n <= 0)
			return -1;
		bytes += n;
		len -= n;
	}

	if (read(cache[i].fd, digest, digest_sizes[i].size) !=
	    (ssize_t)digest_sizes[i].size)
		return -1;
	return 0;
}

/* Unaligned, in the byte order of the machine as the kernel writes it. */
static __u32 get_u32(const __u8 *p)
{
	__u32 val;

	memcpy(&val, p, sizeof(val));
	return val;
}

const char *log_parse(struct ima_log *log, size_t digest_len)
{
	const size_t head_len = sizeof(__u32) + digest_len +
				sizeof(__u32);
	size_t pos = 0, room = 0;

	free(log->rec);
	log->rec = NULL;
	log->count = 0;

	while (pos < log->len) {
		const __u8 *p = log->bytes + pos;
		size_t left = log->len - pos;
		struct ima_record rec = { .offset = pos };

		if (left < head_len)
			return "list ends in a record's head";
		rec.pcr = get_u32(p);
		rec.digest = p + sizeof(__u32);
		rec.name_len = get_u32(p + head_len - sizeof(__u32));
		rec.name = (const char *)p + head_len;
		if (rec.pcr >= NR_PCRS)
			return "PCR index above 23";
		left -= head_len;

		if (left < sizeof(__u32) ||
		    left - sizeof(__u32) < rec.name_len)
			return "list ends in a template name";
		if (rec.name_len == 3 && !memcmp(rec.name, "ima", 3))
			return "template 'ima', which has no data length";
		left -= rec.name_len + sizeof(__u32);

		rec.data_len = get_u32((const __u8 *)rec.name +
				       rec.name_len);
		rec.data = (const __u8 *)rec.name + rec.name_len +
			   sizeof(__u32);
		if (left < rec.data_len)
			return "list ends in template data";

		rec.len = rec.data + rec.data_len - p;
		pos += rec.len;

		if (log->count == room) {
			struct ima_record *new;

			room = room ? 2 * room : 64;
			new = realloc(log->rec, room * sizeof(*new));
			if (!new)
				return "out of memory";
			log->rec = new;
		}
		log->rec[log->count++] = rec;
	}
	return "";
}

void log_free(struct ima_log *log)
{
	free(log->rec);
	free(log->bytes);
	memset(log, 0, sizeof(*log));
}

size_t log_offset(const struct ima_log *log, size_t n)
{
	return n < log->count ? log->rec[n].offset : log->len;
}

bool log_is_prefix(const struct ima_log *head, const struct ima_log *whole)
{
	return head->len <= whole->len &&
	       !memcmp(head->bytes, whole->bytes, head->len);
}

const __u8 *record_field(const struct ima_record *rec, unsigned int n,
			 __u32 *len)
{
	size_t pos = 0;

	for (;;) {
		if (rec->data_len - pos < sizeof(__u32))
			return NULL;
		*len = get_u32(rec->data + pos);
		pos += sizeof(__u32);
		if (rec->data_len - pos < *len)
			return NULL;
		if (!n--)
			return rec->data + pos;
		pos += *len;
	}
}

bool record_has_name(const struct ima_record *rec, const char *event_name)
{
	__u32 len;
	const __u8 *name = record_field(rec, 1, &len);

	/* The name's terminating NUL is part of the field. */
	return name && len == strlen(event_name) + 1 &&
	       !memcmp(name, event_name, len);
}

bool record_is_violation(const struct ima_record *rec)
{
	static const __u8 zeros[SHA1_SIZE];

	return !memcmp(rec->digest, zeros, SHA1_SIZE);
}

bool record_digest_is_right(const struct ima_record *rec)
{
	__u8 digest[DIGEST_MAX];

	return !hash_bytes("sha1", rec->data, rec->data_len, digest) &&
	       !memcmp(rec->digest, digest, SHA1_SIZE);
}

struct text {
	const char *pos;
	const char *end;
};

static bool take(struct text *text, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(text->end - text->pos) < len ||
	    memcmp(text->pos, word, len))
		return false;
	text->pos += len;
	return true;
}

/* Decimal without leading zeros. */
static bool take_number(struct text *text, unsigned long *val)
{
	const char *start = text->pos;

	*val = 0;
	while (text->pos < text->end && *text->pos >= '0' &&
	       *text->pos <= '9') {
		if (__builtin_mul_overflow(*val, 10UL, val) ||
		    __builtin_add_overflow(*val, *text->pos - '0', val))
			return false;
		text->pos++;
	}
	return text->pos - start == 1 || (text->pos > start && *start != '0');
}

static bool take_hex(struct text *text, const char *digits, __u8 *bytes,
		     size_t len)
{
	if ((size_t)(text->end - text->pos) < 2 * len)
		return false;

	for (size_t i = 0; i < 2 * len; i++) {
		const char *digit = memchr(digits, *text->pos++, 16);

		if (!digit)
			return false;
		bytes[i / 2] = bytes[i / 2] << 4 | (digit - digits);
	}
	return true;
}

/* PCR_Bank := PCR { "," PCR } ";" */
static const char *take_bank(struct text *text, struct pcr_bank *bank)
{
	const char *colon;
	unsigned long pcr;
	long last = -1;
	size_t len;

	colon = memchr(text->pos, ':', text->end - text->pos);
	if (!colon)
		return "bank without an algorithm";
	len = colon - text->pos;
	if (len >= sizeof(bank->alg))
		return "name of an algorithm too long";
	memset(bank, 0, sizeof(*bank));
	memcpy(bank->alg, text->pos, len);
	bank->digest_size = digest_size(bank->alg);
	if (!bank->digest_size)
		return "unknown algorithm";
	bank_reset(bank, bank->alg);

	do {
		if (!take(text, bank->alg) || !take(text, ":PCR"))
			return "not <alg>:PCR";
		if (!take_number(text, &pcr) || pcr >= NR_PCRS)
			return "not a PCR's number";
		if ((long)pcr <= last)
			return "PCRs out of order";
		if (!take(text, ":0x") ||
		    !take_hex(text, "0123456789ABCDEF", bank->pcr[pcr],
			      bank->digest_size))
			return "not a PCR's value";
		bank->listed |= 1U << pcr;
		last = pcr;
	} while (take(text, ","));

	return take(text, ";") ? "" : "no semicolon after a bank";
}

const char *aggregate_parse(const __u8 *bytes, size_t len,
			    struct aggregate *agg)
{
	struct text text = {
		.pos = (const char *)bytes,
		.end = (const char *)bytes + len,
	};

	memset(agg, 0, sizeof(*agg));
	if (!take(&text, "Snapshot_Attempt_Count=") ||
	    !take_number(&text, &agg->attempt) || !take(&text, ";"))
		return "no Snapshot_Attempt_Count";

	while (!take(&text, "Record_Count=")) {
		const char *err;

		if (agg->nr_banks == NR_BANKS_MAX)
			return "too many banks";
		err = take_bank(&text, &agg->bank[agg->nr_banks]);
		if (*err)
			return err;
		agg->nr_banks++;
	}

	if (!take_number(&text, &agg->record_count) || !take(&text, ";"))
		return "no number after Record_Count=";
	if (!take(&text, "Segment_Hash=sha256:") ||
	    !take_hex(&text, "0123456789abcdef", agg->segment_hash,
		      SHA256_SIZE) ||
	    !take(&text, ";"))
		return "no Segment_Hash";
	return text.pos == text.end ? "" : "bytes after the last semicolon";
}

const struct pcr_bank *aggregate_bank(const struct aggregate *agg,
				      const char *alg)
{
	for (size_t i = 0; i < agg->nr_banks; i++) {
		if (!strcmp(agg->bank[i].alg, alg))
			return &agg->bank[i];
	}
	return NULL;
}

__u8 pcr_reset_byte(unsigned int pcr)
{
	return pcr >= 17 && pcr <= 22 ? 0xff : 0;
}

void bank_reset(struct pcr_bank *bank, const char *alg)
{
	if (alg != bank->alg) {
		memset(bank, 0, sizeof(*bank));
		snprintf(bank->alg, sizeof(bank->alg), "%s", alg);
	}
	bank->digest_size = digest_size(alg);
	for (unsigned int i = 0; i < NR_PCRS; i++)
		memset(bank->pcr[i], pcr_reset_byte(i), bank->digest_size);
}

int bank_replay(struct pcr_bank *bank, const struct ima_record *rec, size_t n)
{
	const size_t size = bank->digest_size;
	__u8 buf[2 * DIGEST_MAX];

	for (size_t i = 0; i < n; i++) {
		__u8 *pcr = bank->pcr[rec[i].pcr];

		memcpy(buf, pcr, size);
		if (record_is_violation(&rec[i]))
			memset(buf + size, 0xff, size);
		else if (hash_bytes(bank->alg, rec[i].data, rec[i].data_len,
				    buf + size))
			return -1;
		if (hash_bytes(bank->alg, buf, 2 * size, pcr))
			return -1;
	}
	return 0;
}

bool bank_before_log(struct pcr_bank *bank, const char *alg,
		     const struct ima_log *log)
{
	const struct pcr_bank *known;
	struct aggregate agg;
	const __u8 *text;
	__u32 len;

	bank_reset(bank, alg);
	if (!log->count)
		return false;
	if (record_has_name(&log->rec[0], "boot_aggregate") ||
	    record_has_name(&log->rec[0], "boot_aggregate_late"))
		return true;
	if (!record_has_name(&log->rec[0], "snapshot_aggregate"))
		return false;

	text = record_field(&log->rec[0], 2, &len);
	if (!text || *aggregate_parse(text, len, &agg))
		return false;
	known = aggregate_bank(&agg, alg);
	if (!known)
		return false;
	*bank = *known;
	return true;
}
