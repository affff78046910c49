/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sealing, failover and release of a passive stage that records determinants (DESIGN sections 4, 6
 * and 8), small enough to read. What a replica makes of a batch is who determined it: the life that
 * led when it was first executed. Lives die at any moment, and may be suspected without reason.
 *
 *   I2  a life publishes for a batch what was published for it before
 *   I3  each batch is released once, in order
 *   I6  nothing is published after the seal
 *   L1  as long as somebody may live, all batches are released in the end
 *
 * -DLEAD_EARLY, -DFORGET_SEAL, -DPROMOTE_FIRST, -DFORGET_EARLY: what goes wrong without one of the
 * rules; each must violate an assertion (tests/spec/run.sh).
 */
#ifndef BATCHES
#define BATCHES 2
#endif
#ifndef LIVES
#define LIVES 5 /* at most, in two seats */
#endif
#ifndef DEATHS
#define DEATHS 2
#endif
#define NOBODY 0

/* Of a life's journal: batches first + 1 to head, and who determined each. */
byte first[LIVES + 1], head[LIVES + 1];
byte determined[(LIVES + 1) * (BATCHES + 1)];
#define DETERMINED(life, batch) determined[(life) * (BATCHES + 1) + (batch)]
bool sealed[LIVES + 1], alive[LIVES + 1], running[LIVES + 1], forgotten[LIVES + 1];
bool determines[LIVES + 1]; /* it leads, and has all that former leaders published */

byte terms, leaders[LIVES + 2]; /* leaders[t]: who leads in term t */
byte lives, seat[2];		/* who sits there */
byte released, out[BATCHES + 1];
byte drained[LIVES + 1]; /* batches of its journal that the egress has read */
byte deaths;

#define LEADER leaders[terms]

/* The newest former leader's journal that holds the batch, or NOBODY. */
inline find_former(life, batch, found)
{
	found = NOBODY;
	term = terms - 1;
	do
	:: term == 0 || found != NOBODY -> break
	:: else ->
		if
		:: !forgotten[leaders[term]] && head[leaders[term]] >= batch &&
			first[leaders[term]] < batch -> found = leaders[term]
		:: else
		fi
		term--
	od
}

/* One compare-and-swap of the head word. */
inline publish(life, batch, who)
{
	if
	:: sealed[life] -> goto stopped
	:: else ->
		/* I2 */
		assert(released < batch || out[batch] == who);
		DETERMINED(life, batch) = who;
		head[life] = batch
	fi
}

proctype replica(byte me)
{
	byte batch, who, term, from;

	running[me];
end:	do
	:: !alive[me] -> goto stopped
	:: atomic { alive[me] && deaths > 0 -> deaths--; alive[me] = false }
	:: alive[me] && sealed[me] -> goto stopped
	:: atomic {
		alive[me] && !determines[me] && LEADER == me -> /* promoted: former ones first */
			batch = head[me] + 1;
			find_former(me, batch, from);
#ifdef LEAD_EARLY
			from = NOBODY;
#endif
			if
			:: from == NOBODY -> determines[me] = true
			:: else -> who = DETERMINED(from, batch)
			fi
	   }
	   if
	   :: from != NOBODY -> atomic { publish(me, batch, who) }
	   :: else
	   fi
	:: atomic { /* leads: it is told what nobody else can be told */
		alive[me] && determines[me] && head[me] < BATCHES -> batch = head[me] + 1
	   }
	   atomic { publish(me, batch, me) }
	:: atomic { /* replays */
		alive[me] && LEADER != me && LEADER != NOBODY && !forgotten[LEADER] &&
			head[LEADER] > head[me] && first[LEADER] <= head[me] ->
			batch = head[me] + 1;
			who = DETERMINED(LEADER, batch)
	   }
	   atomic { publish(me, batch, who) }
	:: alive[me] && LEADER != me && LEADER != NOBODY && first[LEADER] > head[me] ->
		goto stopped /* the leader began later: starts again, from newer base values */
	:: head[me] == BATCHES && released == BATCHES -> break
	od;
stopped:
	alive[me] = false
}

#define COUNTS(life)                                                                               \
	(life <= lives && head[life] > released && first[life] <= released && !forgotten[life] &&  \
		(life == LEADER || (sealed[life] && drained[life] < head[life])))
#define TO_DRAIN(life)                                                                             \
	(life <= lives && sealed[life] && drained[life] < released && drained[life] < head[life])

/* I3: the next batch, whoever's; what counts is the leader's, or stands of a former one's. */
inline release(life)
{
	released++;
	out[released] = DETERMINED(life, released);
	drained[life] = released
}

proctype egress()
{
end:	do
	:: released == BATCHES -> break
	:: atomic { COUNTS(1) -> release(1) }
	:: atomic { COUNTS(2) -> release(2) }
	:: atomic { COUNTS(3) -> release(3) }
	:: atomic { COUNTS(4) -> release(4) }
	:: atomic { COUNTS(5) -> release(5) }
	:: atomic { TO_DRAIN(1) -> drained[1]++ }
	:: atomic { TO_DRAIN(2) -> drained[2]++ }
	:: atomic { TO_DRAIN(3) -> drained[3]++ }
	:: atomic { TO_DRAIN(4) -> drained[4]++ }
	:: atomic { TO_DRAIN(5) -> drained[5]++ }
	od
}

inline start(s)
{
	atomic {
		if
		:: lives < LIVES ->
			lives++;
			/* Its base values hold what is released. */
			first[lives] = released;
			head[lives] = released;
			drained[lives] = released;
			alive[lives] = true;
			seat[s] = lives;
			run replica(lives);
			running[lives] = true
		:: else -> seat[s] = NOBODY
		fi
	}
}

/* Whoever runs in a seat, if it can still replay. */
inline promote(s)
{
	atomic {
		if
		:: seat[s] != NOBODY && !sealed[seat[s]] ->
			terms++;
			leaders[terms] = seat[s]
		:: else
		fi
	}
}

#define SITS(s) (seat[s] != NOBODY && !sealed[seat[s]])
#ifdef FORGET_EARLY
#define HEIR_READY true
#else
#define HEIR_READY determines[LEADER]
#endif
#define MAY_FORGET(life)                                                                           \
	(life <= lives && sealed[life] && !forgotten[life] && life != LEADER &&                    \
		drained[life] >= head[life] && HEIR_READY)

/* Seals before all else; every decision is from the sealed end. */
inline replace(s)
{
	lost = seat[s];
#ifdef PROMOTE_FIRST
	if
	:: LEADER == lost -> promote(1 - s)
	:: else
	fi;
#endif
#ifndef FORGET_SEAL
	sealed[lost] = true;
#endif
	if
	:: LEADER == lost -> promote(1 - s)
	:: else
	fi;
	atomic { sealed[lost] = true; alive[lost] = false } /* it is killed */
	start(s);
	if
	:: LEADER == lost && seat[s] != NOBODY -> promote(s) /* nobody else was left */
	:: else
	fi
}

/* Sees deaths, and sometimes what is none. */
proctype manager()
{
	byte lost;

end:	do
	:: released == BATCHES -> break
	:: SITS(0) && !alive[seat[0]] -> replace(0)
	:: SITS(1) && !alive[seat[1]] -> replace(1)
	:: atomic { SITS(0) && alive[seat[0]] && deaths > 0 -> deaths-- } replace(0)
	:: atomic { SITS(1) && alive[seat[1]] && deaths > 0 -> deaths-- } replace(1)
	:: atomic { MAY_FORGET(1) -> forgotten[1] = true }
	:: atomic { MAY_FORGET(2) -> forgotten[2] = true }
	:: atomic { MAY_FORGET(3) -> forgotten[3] = true }
	:: atomic { MAY_FORGET(4) -> forgotten[4] = true }
	:: atomic { MAY_FORGET(5) -> forgotten[5] = true }
	od
}

init
{
	atomic {
		deaths = DEATHS;
		start(0);
		start(1);
		terms = 1;
		leaders[1] = 1;
		determines[1] = true;
		run egress();
		run manager()
	}
	/* L1 */
	timeout;
	assert(released == BATCHES || lives == LIVES)
}
