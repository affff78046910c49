# SPDX-License-Identifier: BSD-3-Clause
# The journal is compiled again, with a place to die before every ordered store.
add_executable(test_loggers_journal unit/loggers/test_journal.c ${CMAKE_SOURCE_DIR}/loggers/journal.c
	${CMAKE_SOURCE_DIR}/loggers/owner.c)
target_compile_definitions(test_loggers_journal PRIVATE UNDERSTUDY_STEPS)
target_link_libraries(test_loggers_journal PRIVATE core Threads::Threads PkgConfig::CMOCKA)
add_test(NAME loggers/journal COMMAND test_loggers_journal)
