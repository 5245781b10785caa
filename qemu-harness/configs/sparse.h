/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Included before every file that kernel-check gives to sparse: it defines what
 * the kernel uses and sparse 0.6.4 lacks. The compiler never sees it.
 */

/* If sparse lacks this operator, the kernel's build does not run it. */
#define __typeof_unqual__ __typeof__

/*
 * MODULE_INFO() asserts that its text has no NUL. For sparse the built-in is not
 * a constant, so it would complain about every MODULE_LICENSE().
 */
#define __builtin_strlen(text) (sizeof(text) - 1)
