# SPDX-License-Identifier: BSD-3-Clause
add_executable(test_vnf_nat unit/vnf/test_nat.c ${CMAKE_SOURCE_DIR}/vnf/nat.c)
target_link_libraries(test_vnf_nat PRIVATE vnf PkgConfig::CMOCKA)
add_test(NAME vnf/nat COMMAND test_vnf_nat)
