/* SPDX-License-Identifier: BSD-3-Clause */
#include "manager/manager.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fault_points.h"
#include "core/mutants.h"
#include "loggers/idle.h"
#include "manager/manager_parts.h"
#include "manager/sight.h"

#define LOOK_NS 100000000ull	 /* between looks at who is stopped */
#define LOG_END_NS 5000000000ull /* loggers may take this long to finish at the end */

const char *manager_stage_name(const struct manager *self, uint32_t stage)
{
	return self->role.config->stages[stage].name;
}

void manager_audit(struct manager *self, const char *action, const char *object, uint64_t term,
	const char *detail)
{
	audit_queue_add(&self->audit, action, object, term, detail);
}

static void audit_replica(struct manager *self, const char *action,
	const struct failover_effect *effect, const char *detail)
{
	char object[NAME_BYTES];

	page_journal_name(object, manager_stage_name(self, effect->stage), effect->replica,
		effect->incarnation);
	manager_audit(self, action, object, self->failover.stages[effect->stage].term, detail);
}

void manager_send(struct manager *self, const struct peer *to, struct message *message)
{
	message->bytes = sizeof(*message);
	message->version = MESSAGE_VERSION;
	if (to != NULL)
		self->send(to->connection, message);
}

/* Sends to the roles of a kind; number UINT32_MAX: to all of them. */
static void send_role(struct manager *self, enum role_kind role, uint32_t stage, uint32_t number,
	uint64_t incarnation, struct message *message)
{
	for (struct peer *peer = self->peers; peer != NULL; peer = peer->next)
		if (peer->hello.type == MESSAGE_HELLO && peer->hello.role == role &&
			(number == UINT32_MAX ||
				(peer->hello.stage == stage && peer->hello.number == number)) &&
			(incarnation == 0 || peer->hello.incarnation == incarnation))
			manager_send(self, peer, message);
}

struct page_failover *manager_failover_record(struct manager *self,
	const struct failover_subject *subject, uint64_t now_ns)
{
	struct page_failover *record = page_failover_of(self->role.page, subject);

	return record != NULL ? record : page_open_failover(self->role.page, subject, NULL, now_ns);
}

void manager_close_failover(struct manager *self, struct page_failover *record, uint64_t now_ns)
{
	atomic_write_release(&record->restored_ns, now_ns);
	(void)atomic_add_seq_cst(&self->role.page->open_failovers, (uint32_t)-1);
}

void manager_replica_lost(struct manager *self, uint32_t stage, uint32_t replica,
	uint64_t incarnation, enum failover_kind kind, uint64_t detected_ns)
{
	static const char *const kinds[] = {"", "death", "hang", "corrupt outcome",
		"a packet is set aside", "asked for", "in doubt"};
	struct failover_event event = {EVENT_LOST, stage, replica, incarnation, 0};
	struct page_failover *record;
	bool sealed;

	if (self->stopping || self->role.page->stop ||
		self->failover.stages[stage].replicas[replica].incarnation != incarnation ||
		self->failover.stages[stage].replicas[replica].phase == PHASE_ABSENT)
		return;
	record = manager_failover_record(self,
		&(struct failover_subject){ROLE_REPLICA, stage, replica, incarnation}, detected_ns);
	if (record != NULL) {
		record->kind = kind;
		record->detected_ns = detected_ns;
	}
	audit_replica(self, "fault_seen",
		&(struct failover_effect){.stage = stage,
			.replica = replica,
			.incarnation = incarnation},
		kinds[kind]);
	sealed = manager_suspect(self, stage, replica, kind);
	manager_step(self, &event);
	for (uint32_t r = 0; sealed && r < self->failover.stages[stage].replicas_count; r++)
		if (self->failover.stages[stage].replicas[r].phase >= PHASE_ATTACHING)
			manager_replica_lost(self, stage, r,
				self->failover.stages[stage].replicas[r].incarnation,
				FAILOVER_ASIDE, detected_ns);
}

void manager_death(struct manager *self, const struct death *death)
{
	const struct watched *watched = &self->watcher.watched[death->watched];

	if (watched->incarnation == death->incarnation)
		manager_replica_lost(self, watched->stage, watched->replica, death->incarnation,
			FAILOVER_DEATH, death->detected_ns);
}

void manager_order(struct manager *self, const struct failover_effect *effect)
{
	struct message message = {
		.type = MESSAGE_START,
		.role = ROLE_REPLICA,
		.stage = effect->stage,
		.number = effect->replica,
		.incarnation = effect->incarnation,
	};

	manager_send(self, self->supervisor, &message);
}

static void start_replica(struct manager *self, const struct failover_effect *effect)
{
	struct page_replica *replica =
		&self->role.page->stages[effect->stage].replicas[effect->replica];

	self->ordered_ns[effect->stage][effect->replica] = mono_ns();
	self->role.page->incarnations = effect->incarnation;
	replica->incarnation = effect->incarnation;
	replica->pid = 0;
	replica->next_batch = replica->first_batch = replica->compared_batch = 0;
	replica->at_batch = replica->at_packet = 0;
	atomic_write_release(&replica->state, (uint32_t)REPLICA_STARTING);
	manager_order(self, effect);
	audit_replica(self, "start", effect, "");
}

static struct message request_to_attach(const struct manager *self,
	const struct failover_effect *effect)
{
	struct message message = {
		.type = MESSAGE_ATTACH,
		.stage = effect->stage,
		.number = effect->replica,
		.incarnation = effect->incarnation,
	};

	page_journal_name(message.name, manager_stage_name(self, effect->stage), effect->replica,
		effect->incarnation);
	return message;
}

static void attach_service(struct manager *self, const struct failover_effect *effect)
{
	struct message message = request_to_attach(self, effect);

	if (effect->service == SERVICE_SEQUENCER)
		send_role(self, ROLE_SEQUENCER, 0, UINT32_MAX, 0, &message);
	else if (effect->service != LOGGER_PACKETS)
		send_role(self, ROLE_LOGGER, 0, effect->service, 0, &message);
}

static void attach_consumers(struct manager *self, const struct failover_effect *effect)
{
	struct message message = request_to_attach(self, effect);

	send_role(self, ROLE_SEQUENCER, 0, UINT32_MAX, 0, &message);
	send_role(self, ROLE_LOGGER, 0, LOGGER_DETERMINANTS, 0, &message);
	send_role(self, ROLE_LOGGER, 0, LOGGER_PROGRESS, 0, &message);
	for (uint32_t r = 0; effect->stage + 1 < self->failover.stages_count &&
			     r < self->failover.stages[effect->stage + 1].replicas_count;
		r++)
		send_role(self, ROLE_REPLICA, effect->stage + 1, r,
			self->failover.stages[effect->stage + 1].replicas[r].incarnation, &message);
}

static void seal(struct manager *self, const struct failover_effect *effect)
{
	struct watched *watched = watcher_find(&self->watcher, effect->incarnation);

	atomic_write_release(
		&self->role.page->stages[effect->stage].replicas[effect->replica].state,
		(uint32_t)REPLICA_FAILED);
	if (watched == NULL)
		return;
	self->role.page->lost[watched - self->watcher.watched] =
		(struct page_lost){effect->incarnation, effect->stage, effect->replica};
	if (!MUTANT(FORGET_SEAL))
		(void)journal_seal(&watched->journal);
	idle_wake(&watched->journal);
	FAULT_POINT(JOURNAL_SEALED);
	atomic_write_release(&watched->state, (uint32_t)WATCHED_LOST);
}

static void kill_replica(struct manager *self, const struct failover_effect *effect)
{
	struct watched *watched = watcher_find(&self->watcher, effect->incarnation);
	struct message message = {
		.type = MESSAGE_KILL,
		.role = ROLE_REPLICA,
		.stage = effect->stage,
		.number = effect->replica,
		.incarnation = effect->incarnation,
	};

	if (watched != NULL)
		watched_signal(watched, SIGKILL);
	manager_send(self, self->supervisor, &message);
}

static void write_term(struct manager *self, const struct failover_effect *effect)
{
	struct page_stage *stage = &self->role.page->stages[effect->stage];

	stage->terms[effect->term % TERMS_MAX] =
		(struct page_term){effect->term, effect->replica, effect->incarnation};
	atomic_write_release(&stage->term, effect->term);
	FAULT_POINT(TERM_WRITTEN);
	for (uint32_t i = 0; i < self->role.page->failovers_count && i < FAILOVERS_MAX; i++) {
		struct page_failover *record = &self->role.page->failovers[i];

		if (record->was_master && record->promoted_ns == 0 && record->detected_ns != 0)
			record->promoted_ns = mono_ns();
	}
}

static void redundant(struct manager *self)
{
	struct page *page = self->role.page;

	for (uint32_t i = 0; i < page->failovers_count && i < FAILOVERS_MAX; i++) {
		struct page_failover *record = &page->failovers[i];
		struct page_replica *replica =
			&page->stages[record->stage].replicas[record->replica];

		if (record->role != ROLE_REPLICA || record->restored_ns != 0 ||
			record->detected_ns == 0)
			continue;
		record->replayed_batches = replica->next_batch - replica->first_batch;
		manager_close_failover(self, record, mono_ns());
	}
}

static void carry_out(struct manager *self, const struct failover_effect *effect)
{
	struct message go = {.type = MESSAGE_GO};
	struct page_stage *stage = &self->role.page->stages[effect->stage];

	switch (effect->type) {
	case EFFECT_START_SEQUENCER:
		manager_order_service(self, SERVICE_SEQUENCER, mono_ns());
		break;
	case EFFECT_START_LOGGER:
		manager_order_service(self, effect->replica, mono_ns());
		break;
	case EFFECT_START_REPLICA:
		start_replica(self, effect);
		break;
	case EFFECT_ATTACH:
		attach_consumers(self, effect);
		break;
	case EFFECT_ATTACH_SERVICE:
		attach_service(self, effect);
		break;
	case EFFECT_GO:
		atomic_write_release(&stage->replicas[effect->replica].state,
			(uint32_t)REPLICA_RESTORING);
		send_role(self, ROLE_REPLICA, effect->stage, effect->replica, effect->incarnation,
			&go);
		break;
	case EFFECT_GO_AGAIN:
		send_role(self, ROLE_REPLICA, effect->stage, effect->replica, effect->incarnation,
			&go);
		break;
	case EFFECT_GO_SEQUENCER:
		send_role(self, ROLE_SEQUENCER, 0, UINT32_MAX, 0, &go);
		break;
	case EFFECT_SEAL:
		seal(self, effect);
		break;
	case EFFECT_KILL:
		kill_replica(self, effect);
		break;
	case EFFECT_PROMOTE:
		write_term(self, effect);
		break;
	case EFFECT_FOLDER:
		atomic_write_release(&stage->folder, effect->incarnation);
		break;
	case EFFECT_REDUNDANT:
		redundant(self);
		break;
	case EFFECT_ALONE:
		fprintf(stderr,
			"understudy: %s runs WITHOUT A SLAVE until redundancy is restored\n",
			manager_stage_name(self, effect->stage));
		break;
	case EFFECT_FAIL:
		page_fail(self->role.page, "%s/%u died and nothing protects it: its state is lost",
			manager_stage_name(self, effect->stage), effect->replica);
		break;
	}
}

static void audit_effect(struct manager *self, const struct failover_effect *effect)
{
	switch (effect->type) {
	case EFFECT_SEAL:
		audit_replica(self, "seal", effect, "");
		break;
	case EFFECT_PROMOTE:
		audit_replica(self, "promote", effect, "leads from here on");
		break;
	case EFFECT_GO:
		audit_replica(self, "join", effect, "its journal is read by all consumers");
		break;
	case EFFECT_REDUNDANT:
		audit_replica(self, "restored", effect, "every replica is in its place");
		break;
	case EFFECT_ALONE:
		audit_replica(self, "alone", effect, "the stage runs without a slave");
		break;
	default:
		break;
	}
}

void manager_step(struct manager *self, const struct failover_event *event)
{
	struct failover_effects effects;

	failover_step(&self->failover, event, &effects);
	for (uint32_t i = 0; i < effects.count; i++) {
		carry_out(self, &effects.list[i]);
		audit_effect(self, &effects.list[i]);
	}
}

/* A sequencer that may be a new one reads what the lost have left, too. */
static void attach_lost(struct manager *self)
{
	for (uint32_t i = 0; i < WATCHED_MAX; i++) {
		const struct watched *watched = &self->watcher.watched[i];
		struct failover_effect effect = {.service = SERVICE_SEQUENCER,
			.stage = watched->stage,
			.replica = watched->replica,
			.incarnation = watched->incarnation};

		if (atomic_read_acquire(&watched->state) == WATCHED_LOST)
			attach_service(self, &effect);
	}
}

static void on_hello(struct manager *self, struct peer *peer)
{
	const struct message *hello = &peer->hello;
	struct failover_event event = {EVENT_SEQUENCER, hello->stage, hello->number,
		hello->incarnation, 0};
	uint32_t service = manager_service_of(hello->role, hello->number);

	if (hello->role == ROLE_LOGGER)
		event.type = EVENT_LOGGER;
	if (hello->role == ROLE_SEQUENCER)
		attach_lost(self);
	if (service < SERVICES_COUNT)
		manager_service_back(self, service, hello->pid, mono_ns());
	if (hello->role == ROLE_REPLICA) {
		event.type = EVENT_REPLICA;
		if (self->failover.stages[hello->stage].replicas[hello->number].incarnation !=
			hello->incarnation)
			return; /* of a former life */
		self->role.page->stages[hello->stage].replicas[hello->number].pid = hello->pid;
		if (watcher_add(&self->watcher, &self->role.place, hello) != STATUS_OK) {
			manager_replica_lost(self, hello->stage, hello->number, hello->incarnation,
				FAILOVER_DEATH, mono_ns());
			return;
		}
	}
	if (hello->role != ROLE_CLI)
		manager_step(self, &event);
}

/* Dead replicas' places in all journals; the base values' own keeps what a new one needs. */
static void release_dead_slots(struct manager *self)
{
	if (self->base.epoch != self->role.page->epoch) {
		journal_shm_close(&self->base.journal);
		self->base = (struct base){.page = self->role.page, .place = &self->role.place};
		if (base_open(&self->base, UINT64_MAX) != STATUS_OK) {
			self->base.epoch = 0;
			return;
		}
	}
	if (self->base.epoch != 0)
		journal_release_dead(&self->base.journal);
	for (uint32_t i = 0; i < WATCHED_MAX; i++)
		if (self->watcher.watched[i].state == WATCHED_LIVE)
			journal_release_dead(&self->watcher.watched[i].journal);
}

/* A replica that ended before it said hello: nobody reads the journal that it may have made. */
static void forget_unseen(struct manager *self, const struct message *exited)
{
	char name[NAME_BYTES];

	if (watcher_find(&self->watcher, exited->incarnation) != NULL || MUTANT(FOUND_UNSEEN))
		return;
	page_journal_name(name, manager_stage_name(self, exited->stage), exited->number,
		exited->incarnation);
	journal_shm_unlink(&self->role.place, name);
}

static void on_supervisor(struct manager *self, const struct message *message)
{
	uint64_t now_ns = mono_ns();

	if (message->type == MESSAGE_STOP)
		self->role.page->stop = 1;
	if (message->type != MESSAGE_EXITED || self->stopping)
		return;
	if (message->role == ROLE_REPLICA) {
		release_dead_slots(self);
		forget_unseen(self, message);
	}
	if (message->role == ROLE_REPLICA)
		manager_replica_lost(self, message->stage, message->number, message->incarnation,
			FAILOVER_DEATH, now_ns);
	else if (self->role.config->protect)
		manager_service_lost(self, manager_service_of(message->role, message->number),
			now_ns);
	else if (!self->role.page->stop)
		page_fail(self->role.page,
			"the sequencer ended and nothing protects it (wait status %llu)",
			(unsigned long long)message->value);
}

/* Which consumer of a stage's journals a peer is; false if it is none, or of a former life. */
static bool find_consumer(const struct manager *self, const struct peer *peer, uint32_t stage,
	uint32_t *consumer)
{
	const struct message *hello = &peer->hello;

	*consumer = hello->role == ROLE_LOGGER ? hello->number : 0;
	if (hello->role != ROLE_REPLICA)
		return hello->role == ROLE_SEQUENCER || hello->role == ROLE_LOGGER;
	*consumer = failover_consumer(&self->failover, hello->number);
	return hello->stage == stage + 1 &&
	       self->failover.stages[hello->stage].replicas[hello->number].incarnation ==
		       hello->incarnation;
}

/* Its base values can be brought on: what it does is released. */
static bool stage_is_up(const struct manager *self, uint32_t stage)
{
	const struct failover_stage *replicas = &self->failover.stages[stage];
	uint32_t ready = 0;

	for (uint32_t r = 0; r < replicas->replicas_count; r++)
		ready += replicas->replicas[r].phase == PHASE_READY;
	return ready >= (self->role.config->agreed ? 2 : 1);
}

/*
 * A journal that cannot be read: its replica starts anew, unless it is gone. Where it was a replica
 * that cannot, that one does, for the other consumers can; but where what it needs was overwritten
 * and its stage is not up, so that base values are not brought on, the journal's replica makes it
 * anew: its own base values are never ahead of those of the stage after it.
 */
static void on_unreadable(struct manager *self, const struct message *reader,
	const struct message *message)
{
	bool reads_on = reader->role != ROLE_REPLICA ||
			(message->value == STATUS_LAPPED && !stage_is_up(self, reader->stage));
	const struct message *lost = reads_on ? message : reader;

	fprintf(stderr, "understudy: %.200s\n", message->text);
	if (self->failover.stages[message->stage].replicas[message->number].incarnation ==
		message->incarnation)
		manager_replica_lost(self, lost->stage, lost->number, lost->incarnation,
			FAILOVER_DEATH, mono_ns());
}

void manager_receive(struct manager *self, struct peer *peer, const struct message *message)
{
	struct failover_event event = {EVENT_ATTACHED, message->stage, message->number,
		message->incarnation, 0};
	struct message answer = {0};

	switch (message->type) {
	case MESSAGE_HELLO:
		peer->hello = *message;
		on_hello(self, peer);
		break;
	case MESSAGE_ATTACHED:
		if (find_consumer(self, peer, message->stage, &event.consumer))
			manager_step(self, &event);
		break;
	case MESSAGE_ERROR:
		on_unreadable(self, &peer->hello, message);
		break;
	case MESSAGE_AUDIT:
		manager_audit(self, message->name, "logger", 0, message->text);
		break;
	case MESSAGE_ORDER:
		manager_obey(self, message, &answer);
		manager_send(self, peer, &answer);
		break;
	case MESSAGE_INJECT:
		manager_inject(self, message, &answer);
		manager_send(self, peer, &answer);
		break;
	default:
		if (peer == self->supervisor)
			on_supervisor(self, message);
		break;
	}
}

/*
 * Whether a lost replica's files may go: the egress has read them to their sealed end, and so has,
 * in a passive stage, the present leader, who replays what former ones published.
 */
static bool may_forget(const struct manager *self, const struct watched *watched)
{
	const struct page_stage *stage = &self->role.page->stages[watched->stage];
	const struct page_term *leader = page_leader(stage);

	if (journal_head_position(&watched->journal) == 0)
		return true; /* it never published */
	if (atomic_read_acquire(&stage->replicas[watched->replica].drained_incarnation) <
		watched->incarnation)
		return false;
	return self->role.config->stages[watched->stage].variant != VARIANT_PASSIVE ||
	       (leader->incarnation != watched->incarnation &&
		       (MUTANT(FOUND_FORGOTTEN) ||
			       atomic_read_acquire(&stage->replicas[leader->replica].determines) ==
				       leader->incarnation));
}

/*
 * Whether a signal has stopped it, at two looks: also one that has no input to be late with, whose
 * folds may be waited for.
 */
static bool stays_stopped(struct watched *watched, const struct page_replica *replica,
	uint64_t now_ns, uint64_t hang_ns)
{
	bool before = watched->stopped;

	if (now_ns < watched->looked_ns + LOOK_NS || now_ns < watched->looked_ns + hang_ns)
		return false;
	watched->looked_ns = now_ns;
	watched->stopped = sight_is_stopped(replica->pid, replica->tid) && !MUTANT(IGNORE_HANG);
	return before && watched->stopped;
}

static void watch_replicas(struct manager *self, uint64_t now_ns)
{
	struct page *page = self->role.page;
	uint64_t hang_ns = self->role.config->hang_ms * 1000000ull;

	for (uint32_t i = 0; i < WATCHED_MAX; i++) {
		struct watched *watched = &self->watcher.watched[i];
		struct page_replica *replica;
		struct watch_sight sight;

		if (watched->state == WATCHED_FREE)
			continue;
		replica = &page->stages[watched->stage].replicas[watched->replica];
		if (watched->state == WATCHED_LOST) {
			if (may_forget(self, watched) && !MUTANT(FORGET_NOTHING)) {
				watcher_forget(watched, &self->role.place);
				page->lost[i] = (struct page_lost){0};
			}
			continue;
		}
		if (atomic_read_acquire(&replica->bad_incarnation) == watched->incarnation) {
			manager_replica_lost(self, watched->stage, watched->replica,
				watched->incarnation, FAILOVER_BAD, now_ns);
			continue;
		}
		sight_take(&sight, page, watched->stage, watched->replica);
		if (!self->role.config->protect || page->maintenance)
			continue;
		if (stays_stopped(watched, replica, now_ns, hang_ns) ||
			(self->failover.stages[watched->stage].replicas[watched->replica].phase >=
					PHASE_RUNNING &&
				watch_step(&watched->hang, &sight, now_ns, hang_ns)))
			manager_replica_lost(self, watched->stage, watched->replica,
				watched->incarnation, FAILOVER_HANG, now_ns);
	}
}

/* A replica is not running after so long: it, or whoever of the next stage does not read it. */
static void give_up(struct manager *self, uint32_t stage, uint32_t replica, uint64_t now_ns)
{
	const struct failover *failover = &self->failover;
	bool attaches = failover->stages[stage].replicas[replica].phase == PHASE_ATTACHING;

	for (uint32_t r = 0; attaches && stage + 1 < failover->stages_count &&
			     r < failover->stages[stage + 1].replicas_count;
		r++)
		if (failover_owes(failover, stage + 1, r)) {
			stage++;
			replica = r;
			break;
		}
	manager_replica_lost(self, stage, replica,
		failover->stages[stage].replicas[replica].incarnation, FAILOVER_DEATH, now_ns);
}

/* Base values may be many: one that loads them makes progress. */
static bool starts_no_more(struct manager *self, uint32_t stage, uint32_t replica, uint64_t now_ns)
{
	uint64_t progress =
		atomic_read_relaxed(&self->role.page->stages[stage].replicas[replica].progress);

	if (progress != self->progress[stage][replica]) {
		self->progress[stage][replica] = progress;
		self->ordered_ns[stage][replica] = now_ns;
	}
	return now_ns > self->ordered_ns[stage][replica] + STARTING_NS;
}

/* RUNNING replicas that have reached what is released are in their place. */
static void find_caught_up(struct manager *self, uint64_t now_ns)
{
	struct page *page = self->role.page;
	uint64_t released = atomic_read_acquire(&page->egress.batches);

	for (uint32_t s = 0; s < self->failover.stages_count; s++)
		for (uint32_t r = 0; r < self->failover.stages[s].replicas_count; r++) {
			struct failover_replica *replica = &self->failover.stages[s].replicas[r];
			struct failover_event event = {EVENT_CAUGHT_UP, s, r, replica->incarnation,
				0};

			if (replica->phase == PHASE_RUNNING &&
				atomic_read_acquire(&page->stages[s].replicas[r].next_batch) >=
					released) {
				page->stages[s].replicas[r].state = REPLICA_READY;
				manager_step(self, &event);
			} else if ((replica->phase == PHASE_STARTING ||
					   replica->phase == PHASE_ATTACHING) &&
				   starts_no_more(self, s, r, now_ns)) {
				give_up(self, s, r, now_ns);
			}
		}
}

/* Whether loggers have all they should have at the end of a run. */
static bool loggers_done(const struct manager *self, uint64_t batches)
{
	const struct page *page = self->role.page;

	if (!self->role.config->protect)
		return true;
	for (uint32_t i = 0; i < LOGGERS_COUNT; i++)
		if (atomic_read_acquire(&page->loggers[i].next_batch) < batches)
			return false;
	return true;
}

/* One restored from base values of the end has nothing to compare. */
static bool is_compared(const struct page_replica *replica, uint64_t batches)
{
	return atomic_read_acquire(&replica->compared_batch) >= batches ||
	       atomic_read_acquire(&replica->first_batch) >= batches;
}

/* The input has ended (a restart repeats it first), all is released, compared and logged. */
static bool is_over(struct manager *self, uint64_t now_ns)
{
	struct page *page = self->role.page;
	uint64_t batches = atomic_read_acquire(&page->ingress.batches);

	if (page->stop || atomic_read_acquire(&page->failed) == 2)
		return true;
	if (!atomic_read_acquire(&page->egress.ended) ||
		!atomic_read_acquire(&page->ingress.ended) ||
		(!failover_is_redundant(&self->failover) && !page->maintenance))
		return false;
	for (uint32_t s = 0; s < self->failover.stages_count; s++)
		for (uint32_t r = 0; r < self->failover.stages[s].replicas_count; r++)
			if (self->failover.stages[s].replicas[r].phase != PHASE_ABSENT &&
				!is_compared(&page->stages[s].replicas[r], batches))
				return false;
	if (self->ended_ns == 0)
		self->ended_ns = now_ns;
	return loggers_done(self, batches) || now_ns > self->ended_ns + LOG_END_NS;
}

void manager_tick(struct manager *self, uint64_t now_ns)
{
	struct message done = {.type = MESSAGE_DONE};

	if (self->stopping)
		return;
	manager_watch_services(self, now_ns);
	manager_forget_bases(self);
	manager_raise_timed(self, now_ns);
	watch_replicas(self, now_ns);
	find_caught_up(self, now_ns);
	manager_settle_doubt(self, now_ns);
	if (!is_over(self, now_ns))
		return;
	self->stopping = true;
	manager_audit(self, "stop", self->role.config->chain, 0,
		self->role.page->failed ? self->role.page->error : "the run is over");
	audit_queue_close(&self->audit);
	atomic_write_release(&self->role.page->stop, 1u);
	manager_send(self, self->supervisor, &done);
}

void manager_open(struct manager *self)
{
	const struct config *config = self->role.config;
	uint32_t replicas[STAGES_MAX];

	for (uint32_t s = 0; s < config->stages_count; s++)
		replicas[s] = config_replicas(config, s);
	failover_open(&self->failover, config->protect, config->stages_count, replicas,
		config->protect ? LOGGERS_COUNT : 0, config->protect ? 3 : 1);
}

/* The failover of the former manager, which is over: this one is there. */
static void close_own_failover(struct manager *self)
{
	const struct failover_subject former = {ROLE_MANAGER, 0, 0,
		self->role.options.incarnation - 1};
	uint64_t now_ns = mono_ns();
	struct page_failover *record = manager_failover_record(self, &former, now_ns);

	if (record == NULL)
		return;
	record->kind = FAILOVER_DEATH;
	record->detected_ns = now_ns;
	manager_close_failover(self, record, now_ns);
}

void manager_begin(struct manager *self)
{
	struct failover_event begin = {.type = EVENT_BEGIN};

	if (manager_adopt(self)) {
		close_own_failover(self);
		manager_audit(self, "manager_restart", self->role.config->chain, 0,
			"carries on from the control page");
	} else {
		manager_audit(self, "run", self->role.config->chain, 0,
			self->role.config->protect ? "protected" : "unprotected");
		manager_step(self, &begin);
	}
}

struct peer *manager_connect(struct manager *self, void *connection, bool is_supervisor)
{
	struct peer *peer = calloc(1, sizeof(*peer));

	if (peer == NULL)
		return NULL;
	peer->connection = connection;
	peer->next = self->peers;
	self->peers = peer;
	if (is_supervisor)
		self->supervisor = peer;
	return peer;
}

void manager_disconnect(struct manager *self, struct peer *peer)
{
	for (struct peer **at = &self->peers; *at != NULL; at = &(*at)->next)
		if (*at == peer) {
			*at = peer->next;
			break;
		}
	if (peer == self->supervisor)
		self->supervisor = NULL;
	free(peer);
}
