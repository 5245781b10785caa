# SPDX-License-Identifier: GPL-2.0-or-later
#
# The rooms of the source, in order. A file includes files of its own room and of
# those before it, by room and name: "log/replay.h". No program includes another.
set(IMASNAP_LIBRARY_ROOMS base log kernel tpm store snapshot verify)
set(IMASNAP_ROOMS ${IMASNAP_LIBRARY_ROOMS} view program)
set(IMASNAP_PROGRAMS cli daemon)
