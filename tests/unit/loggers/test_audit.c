/* SPDX-License-Identifier: BSD-3-Clause */
/* The audit log: whatever is changed, taken out or moved in it is found. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loggers/audit.h"

#define LINES 4
#define LOG_BYTES_MAX 65536

static char dir[] = "/tmp/understudy-audit.XXXXXX";
static char path[64];

static int make_dir(void **state)
{
	(void)state;
	memcpy(dir + sizeof(dir) - 7, "XXXXXX", 6);
	if (mkdtemp(dir) == NULL)
		return 1;
	snprintf(path, sizeof(path), "%s/%s", dir, AUDIT_FILE);
	return 0;
}

static int drop_dir(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static void append(struct audit *audit, int n)
{
	char detail[64];

	snprintf(detail, sizeof(detail), "number %d, \"quoted\"\n", n);
	assert_int_equal(audit_append(audit, 1700000000123456789ull + (uint64_t)n, 42, "manager",
				 "seal", "nat-0.1", (uint64_t)n, detail),
		STATUS_OK);
}

static void append_lines(int from, int count)
{
	struct audit audit;

	assert_int_equal(audit_open(&audit, dir), STATUS_OK);
	assert_int_equal(audit.sequence, from);
	for (int i = 0; i < count; i++)
		append(&audit, from + i);
	audit_close(&audit);
}

static size_t read_log(char *bytes)
{
	FILE *file = fopen(path, "r");
	size_t count;

	assert_non_null(file);
	count = fread(bytes, 1, LOG_BYTES_MAX, file);
	fclose(file);
	return count;
}

static enum status verify(const char *bytes, size_t count, struct audit_verdict *verdict)
{
	FILE *file = fmemopen((void *)bytes, count, "r");
	enum status status;

	assert_non_null(file);
	status = audit_verify(file, verdict);
	fclose(file);
	return status;
}

static void test_append_and_verify(void **state)
{
	static char bytes[LOG_BYTES_MAX];
	struct audit_verdict verdict;
	struct audit audit;
	size_t count;

	(void)state;
	append_lines(0, LINES);
	count = read_log(bytes);
	assert_int_equal(verify(bytes, count, &verdict), STATUS_OK);
	assert_int_equal(verdict.lines, LINES);
	assert_int_equal(verdict.bad_line, 0);
	assert_int_equal(audit_open(&audit, dir), STATUS_OK);
	assert_string_equal(verdict.hash, audit.hash);
	audit_close(&audit);
	/* Carried on after a reopen: one chain. */
	append_lines(LINES, 2);
	count = read_log(bytes);
	assert_int_equal(verify(bytes, count, &verdict), STATUS_OK);
	assert_int_equal(verdict.lines, LINES + 2);
}

static void test_every_flipped_bit_is_found(void **state)
{
	static char bytes[LOG_BYTES_MAX];
	struct audit_verdict verdict;
	uint32_t missed = 0;
	size_t count;

	(void)state;
	append_lines(0, LINES);
	count = read_log(bytes);
	for (size_t at = 0; at < count; at++)
		for (int bit = 0; bit < 8; bit++) {
			bytes[at] ^= (char)(1 << bit);
			if (verify(bytes, count, &verdict) != STATUS_CORRUPT) {
				if (missed++ < 4)
					print_error("byte %zu of %zu, bit %d, is '%.3s' now: "
						    "not found\n",
						at, count, bit, bytes + at);
			} else {
				assert_true(verdict.bad_line > 0 && verdict.bad_line <= LINES);
				assert_true(strlen(verdict.what) > 0);
			}
			bytes[at] ^= (char)(1 << bit);
		}
	assert_int_equal(verify(bytes, count, &verdict), STATUS_OK);
	assert_int_equal(missed, 0);
}

/* Splits a log; returns the lines' beginnings, one more than there are lines. */
static void split(const char *bytes, size_t *starts)
{
	starts[0] = 0;
	for (int i = 0; i < LINES; i++)
		starts[i + 1] = (size_t)(strchr(bytes + starts[i], '\n') - bytes) + 1;
}

static void test_removed_swapped_and_cut(void **state)
{
	static char bytes[LOG_BYTES_MAX], changed[LOG_BYTES_MAX];
	struct audit_verdict verdict;
	size_t starts[LINES + 1], count;

	(void)state;
	append_lines(0, LINES);
	count = read_log(bytes);
	bytes[count] = 0;
	split(bytes, starts);
	assert_int_equal(starts[LINES], count);
	for (int i = 0; i + 1 < LINES; i++) {
		size_t own = starts[i + 1] - starts[i], next = starts[i + 2] - starts[i + 1];

		/* Line i + 1 is taken out. */
		memcpy(changed, bytes, starts[i]);
		memcpy(changed + starts[i], bytes + starts[i + 1], count - starts[i + 1]);
		assert_int_equal(verify(changed, count - own, &verdict), STATUS_CORRUPT);
		assert_int_equal(verdict.bad_line, i + 1);
		/* Lines i + 1 and i + 2 change places. */
		memcpy(changed, bytes, count);
		memcpy(changed + starts[i], bytes + starts[i + 1], next);
		memcpy(changed + starts[i] + next, bytes + starts[i], own);
		assert_int_equal(verify(changed, count, &verdict), STATUS_CORRUPT);
		assert_int_equal(verdict.bad_line, i + 1);
		/* Line i + 1 is there twice. */
		memcpy(changed, bytes, starts[i + 1]);
		memcpy(changed + starts[i + 1], bytes + starts[i], count - starts[i]);
		assert_int_equal(verify(changed, count + own, &verdict), STATUS_CORRUPT);
		assert_int_equal(verdict.bad_line, i + 2);
	}
	/* Cut anywhere within a line; between two, the verdict's hash and count tell. */
	for (size_t cut = 1; cut < count; cut++) {
		bool whole = bytes[cut - 1] == '\n';

		assert_int_equal(verify(bytes, cut, &verdict), whole ? STATUS_OK : STATUS_CORRUPT);
		assert_true(verdict.lines < LINES);
	}
}

static void test_open_refuses_a_changed_log(void **state)
{
	struct audit audit;
	FILE *file;

	(void)state;
	append_lines(0, LINES);
	file = fopen(path, "r+");
	assert_non_null(file);
	fseek(file, 30, SEEK_SET);
	fputc('#', file);
	fclose(file);
	assert_int_equal(audit_open(&audit, dir), STATUS_CORRUPT);
	assert_null(audit.file);
	assert_int_equal(audit_append(&audit, 1, 1, "a", "b", "c", 1, "d"), STATUS_IO);
	audit_close(&audit);
	assert_int_equal(audit_open(&audit, "/nonexistent"), STATUS_IO);
}

/* Texts of any length and content make one line that verifies. */
static void test_any_text(void **state)
{
	static char bytes[LOG_BYTES_MAX], text[2048];
	struct audit_verdict verdict;
	struct audit audit;
	size_t count;
	int status;
	pid_t child;

	(void)state;
	assert_int_equal(audit_open(&audit, dir), STATUS_OK);
	for (int i = 0; i < 2000; i++)
		text[i] = (char)(1 + i % 127);
	assert_int_equal(audit_append(&audit, 1, 1, "manager", "fault", "x", 1, text), STATUS_OK);
	assert_int_equal(audit_append(&audit, 1, 1, "manager", "fault", "x", 1,
				 "\",\"hash\":\"00\",\"prev\":\"11"),
		STATUS_OK);
	/* The longest object that a name can be; and one that no line has room for. */
	memset(text, 'n', sizeof(text) - 1);
	text[NAME_BYTES - 1] = 0;
	assert_int_equal(audit_append(&audit, 1, 1, text, text, text, 1, text), STATUS_OK);
	text[NAME_BYTES - 1] = 'n';
	fflush(NULL);
	child = fork();
	if (child == 0) {
		freopen("/dev/null", "w", stderr);
		_exit(audit_append(&audit, 1, 1, "manager", "fault", text, 1, "x") != STATUS_OK);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	audit_close(&audit);
	count = read_log(bytes);
	assert_int_equal(verify(bytes, count, &verdict), STATUS_OK);
	assert_in_range(verdict.lines, 3, 4);
	if (!WIFEXITED(status) || WEXITSTATUS(status) > 1)
		fail_msg("an object of %zu bytes: status %x", sizeof(text) - 1, status);
}

/* Whole lines whose own hash is right, with something else wrong. */
static void test_lines_that_are_no_audit_lines(void **state)
{
#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
	static const struct {
		const char *text, *end;
		enum status wanted;
	} rows[] = {
		{"{\"seq\":1,\"prev\":\"" ZEROS "\"", "\"}\n", STATUS_OK},
		{"{\"seq\":2,\"prev\":\"" ZEROS "\"", "\"}\n", STATUS_CORRUPT},
		{"{\"sec\":1,\"prev\":\"" ZEROS "\"", "\"}\n", STATUS_CORRUPT},
		{"{\"seq\":1,\"prev\":\"1" ZEROS "\"", "\"}\n", STATUS_CORRUPT},
		{"{\"seq\":1", "\"}\n", STATUS_CORRUPT}, /* nothing before it */
		{"{\"seq\":1,\"prev\":\"" ZEROS "\"", "\"}", STATUS_CORRUPT},
		{"{\"seq\":1,\"prev\":\"" ZEROS "\"", "\"]\n", STATUS_CORRUPT},
		{"{\"seq\":1,\"prev\":\"" ZEROS "\"", "\"} \n", STATUS_CORRUPT},
		{"{\"seq\":1,\"prev\":\"" ZEROS "\"", ",\"prev\":\"\n", STATUS_CORRUPT},
		{"{\"seq\":1", ",\"prev\":\"\n", STATUS_CORRUPT}, /* after its hash */
	};
	struct audit_verdict verdict;
	char line[AUDIT_LINE_BYTES], hash[AUDIT_HASH_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int bytes;

		audit_hash(rows[i].text, strlen(rows[i].text), hash);
		bytes = snprintf(line, sizeof(line), "%s,\"hash\":\"%s%s", rows[i].text, hash,
			rows[i].end);
		assert_int_equal(verify(line, (size_t)bytes, &verdict), rows[i].wanted);
		assert_int_equal(verdict.bad_line, rows[i].wanted == STATUS_OK ? 0 : 1);
		assert_int_equal(verdict.lines, rows[i].wanted == STATUS_OK ? 1 : 0);
	}
	assert_int_equal(verify("no field at all\n", 16, &verdict), STATUS_CORRUPT);
}

/* A line too long is refused, and the chain goes on as if it had not been. */
static void test_too_long_a_line_is_refused(void **state)
{
	char actor[AUDIT_LINE_BYTES + 1], before[AUDIT_HASH_BYTES];
	struct audit_verdict verdict;
	struct audit audit;
	FILE *file;

	(void)state;
	memset(actor, 'a', sizeof(actor) - 1);
	actor[sizeof(actor) - 1] = 0;
	assert_int_equal(audit_open(&audit, dir), STATUS_OK);
	append(&audit, 0);
	memcpy(before, audit.hash, sizeof(before));
	assert_int_equal(audit_append(&audit, 1, 1, actor, "seal", "x", 1, "x"), STATUS_TOO_BIG);
	assert_string_equal(audit.hash, before);
	append(&audit, 1);
	audit_close(&audit);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_int_equal(audit_verify(file, &verdict), STATUS_OK);
	assert_int_equal(verdict.lines, 2);
	fclose(file);
}

/* What is not on the disk does not count as written: the sequence stays. */
/* A disk that is full in the middle of a line: nothing of it stays, and later lines go on. */
static void test_a_full_disk_leaves_whole_lines(void **state)
{
	struct rlimit all, some;
	struct audit audit;

	(void)state;
	assert_int_equal(audit_open(&audit, dir), STATUS_OK);
	append(&audit, 0);
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &all), 0);
	some = all;
	some.rlim_cur = (rlim_t)lseek(fileno(audit.file), 0, SEEK_END) + 40;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &some), 0);
	assert_int_equal(audit_append(&audit, 1, 2, "manager", "seal", "nat-0.1", 1, "lost"),
		STATUS_IO);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &all), 0);
	append(&audit, 1);
	audit_close(&audit);
	append_lines(2, 1);
	(void)signal(SIGXFSZ, SIG_DFL);
}

static void test_failed_writes_are_told(void **state)
{
	int ends[2];
	FILE *files[3];
	struct audit_verdict verdict;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	files[0] = fopen("/dev/null", "r"); /* cannot be written */
	files[1] = fopen("/dev/full", "w"); /* has no room */
	files[2] = fdopen(ends[1], "w");    /* cannot be synced */
	for (int i = 0; i < 3; i++) {
		struct audit audit = {.file = files[i], .sequence = 5, .hash = "before"};

		assert_non_null(files[i]);
		assert_int_equal(audit_append(&audit, 1, 1, "a", "b", "c", 1, "d"), STATUS_IO);
		assert_int_equal(audit.sequence, 5);
		assert_string_equal(audit.hash, "before");
		audit_close(&audit);
		assert_null(audit.file);
	}
	close(ends[0]);
	files[0] = fopen("/dev/null", "w"); /* cannot be read */
	assert_int_equal(audit_verify(files[0], &verdict), STATUS_IO);
	fclose(files[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_append_and_verify, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(test_every_flipped_bit_is_found, make_dir,
			drop_dir),
		cmocka_unit_test_setup_teardown(test_removed_swapped_and_cut, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(test_open_refuses_a_changed_log, make_dir,
			drop_dir),
		cmocka_unit_test_setup_teardown(test_any_text, make_dir, drop_dir),
		cmocka_unit_test(test_lines_that_are_no_audit_lines),
		cmocka_unit_test_setup_teardown(test_too_long_a_line_is_refused, make_dir,
			drop_dir),
		cmocka_unit_test_setup_teardown(test_a_full_disk_leaves_whole_lines, make_dir,
			drop_dir),
		cmocka_unit_test(test_failed_writes_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
