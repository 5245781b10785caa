# SPDX-License-Identifier: GPL-2.0-or-later
#
# The rooms of the source, in order. A file includes files of its own room and of
# those before it, by room and name: "log/replay.h". No program includes another.
#
#   base      bytes, errors, hashes, files
#   log       records, templates and aggregates, and their replay
#   kernel    IMA's files below securityfs
#   tpm       PCRs, quotes and attestation keys
#   store     configuration, sessions, segments, and the whole log
#   snapshot  taking a snapshot, repairing the store
#   verify    checking a log, resuming at a checkpoint, discarding what was verified
#   evidence  a file with log and quote, for a verifier on another machine
#   view      the log as files (FUSE)
#   program   what the command lines of both programs share
set(IMASNAP_LIBRARY_ROOMS base log kernel tpm store snapshot verify evidence)
set(IMASNAP_ROOMS ${IMASNAP_LIBRARY_ROOMS} view program)
set(IMASNAP_PROGRAMS cli daemon)
