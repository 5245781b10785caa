/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Put in front of every file that kernel-check gives to sparse: what sparse
 * 0.6.4 lacks and the kernel uses. The compiler never sees it.
 */

/* Without the operator the kernel does without this sparse. */
#define __typeof_unqual__ __typeof__

/*
 * MODULE_INFO() asserts that its text holds no NUL. sparse does not take the
 * built-in for a constant and calls every MODULE_LICENSE() a bad one.
 */
#define __builtin_strlen(text) (sizeof(text) - 1)
