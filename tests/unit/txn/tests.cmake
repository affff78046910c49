# SPDX-License-Identifier: BSD-3-Clause
unit_test(txn engine txn)

# The engine with seeded bugs, one of which a test switches on. Under TSan it is the engine as it is.
if(SANITIZE_THREADS)
	unit_test(txn access txn)
else()
	get_target_property(txn_sources txn SOURCES)
	list(TRANSFORM txn_sources PREPEND ${CMAKE_SOURCE_DIR}/txn/)
	add_library(txn_mutants STATIC ${txn_sources})
	target_compile_definitions(txn_mutants PUBLIC UNDERSTUDY_MUTANTS)
	target_link_libraries(txn_mutants PUBLIC core)
	unit_test(txn access txn_mutants)
endif()
