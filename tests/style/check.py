#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Style as a test: prints one `file:line: rule: what` a finding, and exits with 1 if there is one.

    tests/style/check.py                the files that git tracks or would track
    tests/style/check.py --self-test    a tree with a violation of each rule: is each one found?
"""
import collections
import fnmatch
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

COLUMNS_MAX = 100  # with tabs of 8
FUNCTION_LINES_MAX = 90  # from the opening to the closing brace
FILE_LINES_MAX = 800
SPDX = "SPDX-License-Identifier: BSD-3-Clause"

# Which folders a folder may include; folders not listed here (tests, the top level) include all.
ARROWS = {
    "core": {"core"},
    "txn": {"core", "txn"},
    "loggers": {"core", "loggers"},
    "vnf": {"core", "txn", "loggers", "vnf"},
    "sequencer": {"core", "loggers", "sequencer"},
    "manager": {"core", "loggers", "manager"},
}
# Of loggers, a VNF process may see only the journal's target, which needs no RocksDB.
JOURNAL_HEADERS = {"journal.h", "journal_shm.h", "outcomes.h", "faults.h", "page.h", "owner.h", "idle.h", "control.h", "role.h",
                   "base_wire.h", "base.h"}

# A library's headers, and the only files that may include them; tests may too.
LIBRARIES = (
    (r"rocksdb/", "*_rocksdb.[ch]"),
    (r"event2/|event\.h$", "*_libevent.[ch]"),
    (r"openssl/", "*_openssl.[ch]"),
    (r"rte_(ethdev|mbuf|eal)\.h$", "*_dpdk.[ch]"),
    (r"yaml\.h$", "*_libyaml.c"),
    (r"pcap(/pcap)?\.h$", "*_pcap.c"),
)

# The cores: time, threads and files reach them through arguments only.
CORES = (
    "core/*.[ch]",
    "txn/*.[ch]",
    "loggers/journal.c",
    "loggers/fold.c",
    "loggers/audit.c",
    "manager/failover.c",
    "manager/watch.c",
    "sequencer/ingress.c",
    "sequencer/egress.c",
    "vnf/replica.c",
    "vnf/nat.c",
    "vnf/packet.c",
)
NOT_CORES = ("core/*_libyaml.c",)

SOURCES = ("*.c", "*.h", "*.sh", "*.py", "CMakeLists.txt")
NOT_CODE = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.S)
INCLUDE = re.compile(r"\s*#\s*include\s*([<\"])([^>\"]+)")
FORBIDDEN_CALL = re.compile(r"(?<!->)(?<!\.)\b(rand|srand|strcpy|strcat|sprintf|gets|strtok)\s*\(")
CORE_CALL = re.compile(
    r"\b(clock_gettime|gettimeofday|pthread_create)\b"
    r"|(?<!->)(?<!\.)\b(time|open|socket|fork)\s*\("
)
MARKER = re.compile(r"\b(TO[D]O|FIX[M]E|X{3})\b")  # written so as not to find itself

Finding = collections.namedtuple("Finding", "name line rule what")


def matches(name, patterns):
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def is_c(name):
    return name.endswith((".c", ".h"))


def source_names(root):
    """Tracked and untracked sources, without those that git ignores or that are deleted."""
    command = ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(f"check.py: git ls-files: {run.stderr.strip()}")
    return sorted(
        name
        for name in set(run.stdout.split("\0"))
        if matches(os.path.basename(name), SOURCES) and os.path.isfile(os.path.join(root, name))
    )


def code_of(text):
    """C text with comments, strings and character constants blanked; all stays in its place."""
    return NOT_CODE.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), text)


def check_text(name, lines):
    """The rules for every language."""
    if not any(SPDX in line for line in lines[:3]):
        yield Finding(name, 1, "spdx", f"no '{SPDX}' in the first 3 lines")
    if len(lines) > FILE_LINES_MAX:
        what = f"{len(lines)} lines, at most {FILE_LINES_MAX}"
        yield Finding(name, FILE_LINES_MAX + 1, "file-length", what)
    for number, line in enumerate(lines, 1):
        for found in MARKER.finditer(line):
            yield Finding(name, number, "marker", f"{found.group()}: do it, or open an issue")


def check_lengths(name, lines, code):
    for number, line in enumerate(lines, 1):
        columns = len(line.expandtabs(8))
        if columns > COLUMNS_MAX:
            yield Finding(name, number, "line-length", f"{columns} columns, at most {COLUMNS_MAX}")
    start = None
    for number, line in enumerate(code, 1):
        if line.startswith("{"):
            start = number
        elif line.startswith("}") and start is not None:
            length = number - start + 1
            if length > FUNCTION_LINES_MAX:
                what = f"{length} lines from brace to brace, at most {FUNCTION_LINES_MAX}"
                yield Finding(name, start, "function-length", what)
            start = None


def arrow_violation(name, header, names):
    """What is wrong with a file's include of a header, or None."""
    folder = name.partition("/")[0]
    if folder not in ARROWS:
        return None
    if "/" not in header:
        beside = os.path.join(os.path.dirname(name), header)
        return None if beside in names else f"'{header}' is not beside it: write its folder too"
    target, _, rest = header.partition("/")
    if target not in ARROWS[folder]:
        return f"'{header}': {folder}/ may include only {', '.join(sorted(ARROWS[folder]))}"
    if folder == "vnf" and target == "loggers" and rest not in JOURNAL_HEADERS:
        return f"'{header}': of loggers/, only {', '.join(sorted(JOURNAL_HEADERS))}"
    return None


def check_includes(name, lines, code, names):
    folders = {os.path.dirname(other) for other in names if "/" in other}
    for number, (line, bare) in enumerate(zip(lines, code), 1):
        found = INCLUDE.match(line)
        if not found or not bare.lstrip().startswith("#"):
            continue
        quote, header = found.groups()
        # A project header is one in quotes, or any that lies in a folder of the project.
        if quote == '"' or header.partition("/")[0] in folders:
            wrong = arrow_violation(name, header, names)
            if wrong:
                yield Finding(name, number, "arrow", wrong)
        for pattern, only_in in LIBRARIES:
            allowed = matches(os.path.basename(name), [only_in]) or name.startswith("tests/")
            if re.match(pattern, header) and not allowed:
                yield Finding(name, number, "library", f"<{header}> only in {only_in}")


def check_calls(name, code):
    is_core = matches(name, CORES) and not matches(name, NOT_CORES)
    for number, line in enumerate(code, 1):
        for found in FORBIDDEN_CALL.finditer(line):
            yield Finding(name, number, "forbidden-call", f"{found.group(1)} is not used here")
        for found in CORE_CALL.finditer(line) if is_core else ():
            what = f"{found.group(1) or found.group(2)}: a core does no input, output or timing"
            yield Finding(name, number, "core-call", what)


def check_format(root, names):
    """One finding a file, at the first line that clang-format would change."""
    if not names:
        return
    tool = shutil.which("clang-format-14") or shutil.which("clang-format")
    if tool is None:
        yield Finding(".clang-format", 1, "format", "no clang-format: deploy/packages.sh test")
        return
    command = [tool, "--dry-run", "--Werror", "--style=file"] + names
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, errors="replace")
    changes = collections.defaultdict(list)
    for found in re.finditer(r"^([^:\n]+):(\d+):\d+: error: ", run.stderr, re.M):
        changes[found.group(1)].append(int(found.group(2)))
    for name, lines in changes.items():
        what = f"{len(lines)} places differ: {os.path.basename(tool)} -i {name}"
        yield Finding(name, min(lines), "format", what)
    if run.returncode != 0 and not changes:
        yield Finding(".clang-format", 1, "format", run.stderr.strip().partition("\n")[0])


def check_tree(root):
    names = source_names(root)
    findings = list(check_format(root, [name for name in names if is_c(name)]))
    for name in names:
        with open(os.path.join(root, name), encoding="utf-8", errors="replace") as file:
            text = file.read()
        lines = text.split("\n")[: -1 if text.endswith("\n") else None]
        findings += check_text(name, lines)
        if is_c(name):
            code = code_of(text).split("\n")
            findings += check_lengths(name, lines, code)
            findings += check_includes(name, lines, code, set(names))
            findings += check_calls(name, code)
    return len(names), sorted(findings)


CALL = "forbidden-call"
# A tree for the self-test: name, content after the SPDX line (None: it is too late), findings.
SELF_TEST = (
    ("late_spdx.sh", None, [(1, "spdx")]),
    ("a/CMakeLists.txt", "# FIX" "ME\n", [(2, "marker")]),
    ("b.py", "# TO" "DO later, X" "XX\n", [(2, "marker"), (2, "marker")]),
    ("format.c", "int  a;\n", [(2, "format")]),
    ("wide.c", "/* " + "w" * 95 + " */\n/* " + "w" * 94 + " */\n", [(2, "line-length")]),
    ("tabs.c", "struct s {\n\tint a; /*" + "w" * 83 + "*/\n};\n", [(3, "line-length")]),
    ("long.c", "void f(void)\n{\n" + "\tg();\n" * 89 + "}\n", [(3, "function-length")]),
    ("fits.c", "void f(void)\n{\n" + "\tg();\n" * 88 + "}\n", []),
    ("many.h", "int a;\n" * 800, [(801, "file-length")]),
    ("most.h", "int a;\n" * 799, []),
    ("core/status.h", '#include "status.h"\n#include "core/status.h"\n', []),
    ("core/a.c", '#include "txn/txn.h"\n#include "nowhere.h"\n', [(2, "arrow"), (3, "arrow")]),
    ("txn/txn.h", '#include "core/status.h"\n#include <vnf/x.h>\n', [(3, "arrow")]),
    ("loggers/page.h", '#include "../core/status.h"\n', [(2, "arrow")]),
    ("loggers/store.h", '#include "manager/m.h"\n', [(2, "arrow")]),
    ("vnf/x.h", '#include "loggers/page.h"\n#include "loggers/store.h"\n', [(3, "arrow")]),
    ("sequencer/s.h", '#include "loggers/store.h"\n#include "txn/txn.h"\n', [(3, "arrow")]),
    ("manager/m.h", '#include "loggers/store.h"\n#include "vnf/x.h"\n', [(3, "arrow")]),
    ("main.c", '#include "vnf/x.h"\n#include "txn/txn.h"\n', []),
    ("l1_libevent.c", "#include <event2/event.h>\n#include <rocksdb/c.h>\n", [(3, "library")]),
    ("l2.c", "#include <event2/event.h>\n", [(2, "library")]),
    ("l3.c", "#include <openssl/evp.h>\n#include <stdio.h> /* \"\" */\n", [(2, "library")]),
    ("l4.h", "#include <yaml.h>\n#include <pcap.h>\n", [(2, "library"), (3, "library")]),
    ("l_dpdk.h", "#include <rte_mbuf.h>\n#include <event.h>\n", [(3, "library")]),
    ("l_pcap.c", "#include <pcap/pcap.h>\n#include <rte_eal.h>\n", [(3, "library")]),
    ("tests/l.c", "#include <rocksdb/c.h>\n#include <pcap/pcap.h>\n", []),
    ("call.c", "int a = rand();\n/* rand() */ int b = sprintf(c);\n", [(2, CALL), (3, CALL)]),
    ("tests/call.c", "int a = strtok(b, c);\n", [(2, CALL)]),
    ("calls.c", 'char *a = "rand() \\" gets()";\nint b = snprintf(c);\nint d = time(0);\n', []),
    ("txn/t.c", "int a = time(0);\nint b = open(c);\n", [(2, "core-call"), (3, "core-call")]),
    ("vnf/nat.c", "void *a = clock_gettime;\nint b = ops->open(c);\n", [(2, "core-call")]),
    ("core/x_libyaml.c", "#include <yaml.h>\nint a = open(b);\n", []),
)


def self_test():
    expected = []
    with tempfile.TemporaryDirectory() as root:
        subprocess.run(["git", "init", "-q", root], check=True)
        shutil.copy(os.path.join(ROOT, ".clang-format"), root)
        for name, content, findings in SELF_TEST:
            spdx = f"/* {SPDX} */\n" if is_c(name) else f"# {SPDX}\n"
            os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
            with open(os.path.join(root, name), "w", encoding="utf-8") as file:
                file.write("\n" * 3 + spdx if content is None else spdx + content)
            expected += [(name, line, rule) for line, rule in findings]
        count, findings = check_tree(root)
    found = collections.Counter(finding[:3] for finding in findings)
    expected = collections.Counter(expected)
    for name, line, rule in sorted((expected - found).elements()):
        print(f"{name}:{line}: {rule}: not found")
    for name, line, rule in sorted((found - expected).elements()):
        print(f"{name}:{line}: {rule}: found where there is none")
    wrong = sum(((expected - found) + (found - expected)).values())
    print(f"style self-test: {count} files, {len(findings)} findings, {wrong} wrong")
    return wrong


def main(arguments):
    if arguments == ["--self-test"]:
        return 1 if self_test() else 0
    if arguments:
        print("usage: tests/style/check.py [--self-test]", file=sys.stderr)
        return 2
    count, findings = check_tree(ROOT)
    for finding in findings:
        print("{}:{}: {}: {}".format(*finding))
    print(f"style: {count} files checked, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
