/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The TPM as sysfs and its own commands show it
 */

#ifndef _SELFTESTS_IMA_TPM_H
#define _SELFTESTS_IMA_TPM_H

#include "common.h"

#define TPM_DIR "/sys/class/tpm/tpm0/"

static bool __maybe_unused have_tpm(void)
{
	return !access(TPM_DIR, F_OK);
}

static bool __maybe_unused have_tpm2(void)
{
	char text[8];

	return read_text(TPM_DIR "tpm_version_major", text,
			 sizeof(text)) > 0 && text[0] == '2';
}

/* Value of a PCR as sysfs shows it. */
static bool __maybe_unused tpm_pcr(const char *alg, unsigned int pcr,
				   __u8 *value)
{
	char path[96], text[2 * DIGEST_MAX + 2];
	size_t size = digest_size(alg);

	snprintf(path, sizeof(path), TPM_DIR "pcr-%s/%u", alg, pcr);
	if (read_text(path, text, sizeof(text)) != (ssize_t)(2 * size + 1))
		return false;
	for (size_t i = 0; i < size; i++) {
		if (sscanf(text + 2 * i, "%2hhx", &value[i]) != 1)
			return false;
	}
	return true;
}

static const char * __maybe_unused tpm_alg_name(unsigned int id)
{
	switch (id) {
	case 0x04:
		return "sha1";
	case 0x0b:
		return "sha256";
	case 0x0c:
		return "sha384";
	case 0x0d:
		return "sha512";
	case 0x12:
		return "sm3";
	default:
		return NULL;
	}
}

/*
 * Algorithms of the allocated banks in the TPM's order, by the TPM's own
 * answer to TPM2_GetCapability(TPM_CAP_PCRS). Returns their number, -1 if the
 * TPM cannot be asked. A TPM 1.2 has one bank.
 */
static int __maybe_unused tpm_banks(const char *alg[NR_BANKS_MAX])
{
	static const __u8 command[] = {
		0x80, 0x01,			/* no sessions */
		0x00, 0x00, 0x00, 0x16,		/* length */
		0x00, 0x00, 0x01, 0x7a,		/* TPM2_GetCapability */
		0x00, 0x00, 0x00, 0x05,		/* TPM_CAP_PCRS */
		0x00, 0x00, 0x00, 0x00,
		0x00, 0x00, 0x00, 0x01,
	};
	__u8 answer[1024], *p, *end;
	int fd, banks = 0;
	ssize_t len;

	if (!have_tpm2()) {
		alg[0] = "sha1";
		return 1;
	}

	fd = open("/dev/tpm0", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (write(fd, command, sizeof(command)) != sizeof(command)) {
		close(fd);
		return -1;
	}
	len = read(fd, answer, sizeof(answer));
	close(fd);

	/* Head, more-data flag, capability, number of selections. */
	if (len < 19 || answer[6] | answer[7] | answer[8] | answer[9])
		return -1;
	p = answer + 19;
	end = answer + len;
	for (unsigned int n = answer[18]; n; n--) {
		bool allocated = false;

		if (end - p < 3 || end - p < 3 + p[2])
			return -1;
		for (unsigned int i = 0; i < p[2]; i++)
			allocated |= p[3 + i];
		if (allocated) {
			if (banks == NR_BANKS_MAX)
				return -1;
			alg[banks] = tpm_alg_name(p[0] << 8 | p[1]);
			if (!alg[banks++])
				return -1;
		}
		p += 3 + p[2];
	}
	return banks;
}

#endif /* _SELFTESTS_IMA_TPM_H */
