# SPDX-License-Identifier: BSD-3-Clause
# Every VNF exports the same symbol: a program for each.
foreach(vnf nat load_balancer trojan_detector)
	add_executable(test_vnf_${vnf} unit/vnf/test_${vnf}.c ${CMAKE_SOURCE_DIR}/vnf/${vnf}.c)
	target_link_libraries(test_vnf_${vnf} PRIVATE vnf PkgConfig::CMOCKA)
	add_test(NAME vnf/${vnf} COMMAND test_vnf_${vnf})
endforeach()

add_executable(test_vnf_variables unit/vnf/test_variables.c ${CMAKE_SOURCE_DIR}/vnf/variables.c)
target_link_libraries(test_vnf_variables PRIVATE txn Threads::Threads PkgConfig::CMOCKA)
add_test(NAME vnf/variables COMMAND test_vnf_variables)
# By itself, so that it builds for ThreadSanitizer alone.
add_executable(test_vnf_team unit/vnf/test_team.c ${CMAKE_SOURCE_DIR}/vnf/team_pthread.c)
target_link_libraries(test_vnf_team PRIVATE core Threads::Threads PkgConfig::CMOCKA)
add_test(NAME vnf/team COMMAND test_vnf_team)
foreach(name calls determinants edits leader packet replica replica_team settings)
	unit_test(vnf ${name} vnf)
endforeach()
# Memory that is taken is counted, and refused on demand.
unit_test(vnf replica_memory vnf)
foreach(call malloc calloc aligned_alloc free)
	target_link_options(test_vnf_replica_memory PRIVATE LINKER:--wrap=${call})
endforeach()
