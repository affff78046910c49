# SPDX-License-Identifier: BSD-3-Clause
foreach(name engine txn operate changes timers graph steps table decision)
	unit_test(txn ${name} txn)
endforeach()

get_target_property(txn_sources txn SOURCES)
list(TRANSFORM txn_sources PREPEND ${CMAKE_SOURCE_DIR}/txn/)

# Memory that is taken is counted, and refused on demand. The linker sees each call only where it
# does not optimise the program as a whole.
add_executable(test_txn_memory unit/txn/test_memory.c ${txn_sources})
target_link_libraries(test_txn_memory PRIVATE core PkgConfig::CMOCKA)
set_target_properties(test_txn_memory PROPERTIES INTERPROCEDURAL_OPTIMIZATION OFF)
foreach(call malloc calloc aligned_alloc free)
	target_link_options(test_txn_memory PRIVATE LINKER:--wrap=${call})
endforeach()
add_test(NAME txn/memory COMMAND test_txn_memory)

# The engine with seeded bugs, one of which a test switches on. Under TSan, and where branches are
# counted, it is the engine as it is.
if(SANITIZE_THREADS OR COVERAGE)
	unit_test(txn access txn)
else()
	add_library(txn_mutants STATIC ${txn_sources})
	target_compile_definitions(txn_mutants PUBLIC UNDERSTUDY_MUTANTS)
	target_link_libraries(txn_mutants PUBLIC core)
	unit_test(txn access txn_mutants)
endif()
