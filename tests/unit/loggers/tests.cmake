# SPDX-License-Identifier: BSD-3-Clause
unit_test(loggers journal journal)
unit_test(loggers journal_shm journal)
unit_test(loggers journal_continue journal)
unit_test(loggers base journal)
unit_test(loggers outcomes journal)
unit_test(loggers faults journal)
unit_test(loggers page journal)
unit_test(loggers audit loggers)
unit_test(loggers store_rocksdb loggers ${ROCKSDB})
# The journal is compiled again, with a place to die before every ordered store.
add_executable(test_loggers_journal_kills unit/loggers/test_journal_kills.c
	${CMAKE_SOURCE_DIR}/loggers/journal.c ${CMAKE_SOURCE_DIR}/loggers/owner.c)
# This one includes journal.c, with its loads as points too.
add_executable(test_loggers_journal_races unit/loggers/test_journal_races.c
	${CMAKE_SOURCE_DIR}/loggers/owner.c)
foreach(name journal_kills journal_races)
	target_compile_definitions(test_loggers_${name} PRIVATE UNDERSTUDY_STEPS)
	target_link_libraries(test_loggers_${name} PRIVATE core Threads::Threads PkgConfig::CMOCKA)
	add_test(NAME loggers/${name} COMMAND test_loggers_${name})
endforeach()
