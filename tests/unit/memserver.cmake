# The memory server: its modules, and the whole daemon over TCP.
foreach(name admission filelimit config host conn handshakes reserved shares syscalls
    tenantfile)
  rswap_unit_test(memserver_${name} LIBRARIES rswap-memserver-core)
endforeach()
foreach(name session resume release tenants turns limits)
  rswap_unit_test(memserver_${name} SOURCES session_server.c fake_client.c
    LIBRARIES rswap-memserver-core)
endforeach()
rswap_unit_test(memserver_tcp CONCURRENT SOURCES session_server.c fake_client.c
  LIBRARIES rswap-memserver-core)
foreach(name output slab work)
  rswap_unit_test(memserver_${name} CONCURRENT LIBRARIES rswap-memserver-core)
endforeach()
rswap_unit_test(memserver_orders LIBRARIES rswap-memserver-core)
target_link_options(memserver_orders PRIVATE LINKER:--wrap=ask_main_loop
  LINKER:--wrap=drain_begin LINKER:--wrap=drain_end
  LINKER:--wrap=etcd_view_step LINKER:--wrap=etcd_view_is_current)
target_link_options(memserver_reserved PRIVATE LINKER:--wrap=etcd_view_step
  LINKER:--wrap=etcd_view_is_current LINKER:--wrap=clock_gettime)
# Its verbs are stand-ins, which the linker finds before those of the libraries.
rswap_unit_test(memserver_rdma CONCURRENT
  SOURCES fake_client.c mock_verbs.c mock_cm.c
  LIBRARIES rswap-memserver-core)

foreach(name crowd daemon hostile outlive stress)
  add_executable(memserver_${name} memserver_${name}.c memserver_client.c
    ${PROJECT_SOURCE_DIR}/ctl/answer.c)
  target_include_directories(memserver_${name} PRIVATE ${PROJECT_SOURCE_DIR}/ctl)
  target_link_libraries(memserver_${name} PRIVATE unit-support PkgConfig::JSONC)
  add_dependencies(memserver_${name} rswap-memserver)
  add_test(NAME unit/memserver_${name}
    COMMAND memserver_${name} $<TARGET_FILE:rswap-memserver>)
  set_tests_properties(unit/memserver_${name} PROPERTIES
    LABELS "unit;concurrent" TIMEOUT ${hung_s})
endforeach()
