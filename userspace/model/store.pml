/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A model of the store's protocol for spin: two programs that take a snapshot, one
 * that stages and deletes the list on its own, one that measures, a verifier, and
 * a machine that kills one of them and executes another kernel or boots, with
 * unsynced data lost or not. STORE.md describes the protocol; T1 to T9, R4 and R5
 * are its steps. The tests of the harness check the model.
 *
 * Records are numbers from 1, in the order in which they were measured. A part of
 * the log is an interval. The PCR is the number of the last record: the replay of
 * a log matches it if the log is 1, 2, ... up to that number.
 *
 * Asserted: a record that a snapshot purged is in the store, whatever is lost. The
 * verifier accepts only a log that has every record once, and accepts each log that
 * no other program has touched.
 *
 * SYNC_LATE=1 purges before the segment's data is synced, NO_DIR_SYNC=1 does not
 * sync the directory. spin must find both.
 */

#define RECORDS 3	/* none is measured after this number, aggregates aside */
#define SEGMENTS 2
#define NOBODY 255
#ifndef SYNC_LATE
#define SYNC_LATE 0
#endif
#ifndef NO_DIR_SYNC
#define NO_DIR_SYNC 0
#endif

typedef Segment {
	byte from, to;		/* the records in it; 0: its data was lost */
	byte json;		/* metadata: 0 none, 1 stored, 2 purged */
	bool supersedes;	/* the segment before it */
	bool data_safe, name_safe;	/* what survives a loss of unsynced data */
	byte json_safe
}

/* The kernel: the list is first to next - 1. Staged records are staged to first - 1. */
byte first = 1, next = 2, staged = 0;
byte snapshot = NOBODY;	/* who has the snapshot file open */
byte writer = NOBODY;	/* who has a list open for writing */

/* The store: the names N.ima are seg[0] to seg[nr - 1]. */
Segment seg[SEGMENTS];
byte nr = 0;
byte lock = NOBODY;	/* its exclusive owner */
bool shared = false;	/* or a reader */

/* Since the cold boot, each record a bit: */
short purged = 0;	/* by snapshots */
short deleted = 0;	/* by the other program, and in no segment */
bool touched = false;	/* it has staged */

byte era = 0;		/* counts kexecs and cold boots; each ends all programs */
byte dies = NOBODY;	/* the process that is killed */

#define KILLED (dies == _pid || mine != era)
#define OLDEST (staged -> staged : first)	/* record in the kernel */
#define HAS(s, r) (s < nr && seg[s].from <= r && r <= seg[s].to)
#define SAFE(s, r) (HAS(s, r) && seg[s].name_safe && seg[s].data_safe)

inline check_purged()
{
	for (i : 1 .. next) { assert(!(purged >> i & 1) || SAFE(0, i) || SAFE(1, i)) }
}

inline sync_directory()
{
	d_step {
		for (i : 0 .. SEGMENTS - 1) {
			seg[i].name_safe = i < nr && !NO_DIR_SYNC;
			seg[i].json_safe = (NO_DIR_SYNC -> 0 : seg[i].json)
		}
	}
}

/* Bring the last segment to a known state; see whether the kernel still has it. */
inline recover()
{
	sync_directory();
	atomic {
		supersede = false;
		if
		:: nr == 0 || seg[nr - 1].json == 2
		:: else ->
			supersede = seg[nr - 1].to >= OLDEST;
			seg[nr - 1].json = (supersede -> 1 : 2)	/* R4, R5 */
		fi
	};
	sync_directory()
}

inline store_and_purge()
{
	d_step {						/* T4, after T3 */
		seg[nr].from = from;
		seg[nr].to = to;
		seg[nr].json = 0;
		seg[nr].supersedes = supersede;
		seg[nr].data_safe = !SYNC_LATE;
		seg[nr].name_safe = false;
		seg[nr].json_safe = 0;
		nr++
	};
	sync_directory();					/* T5 */
	seg[nr - 1].json = 1;					/* T6 */
	sync_directory();					/* T7 */
	d_step {						/* T8 */
		if :: of_stager -> staged = 0 :: else -> first = to + 1 fi;
		for (i : from .. to) { purged = purged | 1 << i }
		check_purged()
	};
	d_step {						/* T9 */
		seg[nr - 1].data_safe = true;
		seg[nr - 1].json = 2
	};
	sync_directory()
}

inline take()
{
	atomic { lock == NOBODY && !shared -> lock = _pid };
	recover();
	atomic {						/* T2 */
		from = 1;
		if
		:: writer != NOBODY				/* EBUSY */
		:: writer == NOBODY && staged ->		/* left by a program that died */
			of_stager = true;
			from = staged;
			to = first - 1
		:: writer == NOBODY && !staged && snapshot == NOBODY ->
			snapshot = _pid;
			from = first;
			to = next - 1;
			next++					/* the aggregate */
		fi
	};
	if :: from <= to -> store_and_purge() :: else fi
}

/* What the kernel does when a process ends. */
inline close_all()
{
	d_step {
		if :: snapshot == _pid -> snapshot = NOBODY :: else fi;
		if :: writer == _pid -> writer = NOBODY :: else fi;
		if :: lock == _pid -> lock = NOBODY :: else fi;
		i = 0; from = 0; to = 0; of_stager = false; supersede = false; mine = 0
	}
}

active [2] proctype Snapshot()
{
	byte mine, i, from, to;
	bool of_stager, supersede;

	mine = era;
	{ take() } unless { KILLED };
	close_all()
}

/* Stages the whole list, and deletes it. */
active proctype Stager()
{
	byte mine, i, from, to;
	bool of_stager, supersede;

	mine = era;
	{
		atomic { snapshot == NOBODY && writer == NOBODY && !staged && first < next -> writer = _pid };
		atomic { staged = first; first = next; touched = true };
		d_step {
			for (i : staged .. first - 1) {
				if :: HAS(0, i) || HAS(1, i) :: else -> deleted = deleted | 1 << i fi
			}
			staged = 0
		}
	} unless { KILLED };
	close_all()
}

active proctype Measure()
{
end:	do :: atomic { next <= RECORDS -> next++ } od
}

#define REPLAY(a, b) if :: (a) == replay + 1 -> replay = (b) :: else -> good = false fi

active proctype Verifier()
{
	byte mine, i, replay, pcr;
	bool good = true, clean, whole;

	mine = era;
	{
		atomic { lock == NOBODY -> shared = true };
		atomic {
			clean = !touched;
			whole = !deleted;
			i = 0;
			do
			:: i < nr ->
				if		/* a superseded one, and the last one if the kernel has it */
				:: i + 1 < nr && seg[i + 1].json && seg[i + 1].supersedes
				:: seg[i].to >= OLDEST && (i + 1 == nr || i + 2 == nr && !seg[i + 1].json)
				:: else -> REPLAY(seg[i].from, seg[i].to)
				fi;
				i++
			:: else -> break
			od;
			if :: staged -> REPLAY(staged, first - 1) :: else fi
		};
		atomic {		/* the list, and then the PCR */
			if :: first < next -> REPLAY(first, next - 1) :: else fi;
			pcr = next - 1
		};
		assert(!(good && replay == pcr) || whole);
		assert(good && replay == pcr || !clean || touched)
	} unless { KILLED };
	d_step {
		if :: mine == era -> shared = false :: else fi;
		i = 0; replay = 0; pcr = 0; good = false; clean = false; whole = false; mine = 0
	}
}

active proctype Machine()
{
	byte i;

	if :: dies = 0 :: dies = 1 :: dies = 2 :: skip fi;
	atomic {
		era++;
		snapshot = NOBODY; writer = NOBODY; lock = NOBODY; shared = false; dies = NOBODY;
		i = 0;
		do		/* unsynced data survives, or it does not */
		:: i < nr && !seg[i].name_safe -> nr = i; break
		:: i < nr && !seg[i].data_safe -> seg[i].from = 0; seg[i].to = 0; i++
		:: i < nr -> seg[i].json = seg[i].json_safe; i++
		:: i < nr -> i++
		:: i >= nr -> break
		od;
		if
		:: first = OLDEST; staged = 0; next++; check_purged()		/* kexec */
		:: first = 1; staged = 0; next = 2; nr = 0; purged = 0; deleted = 0; touched = false
		fi
	}
}
