# Included when installing, not when configuring: only then is it known which
# prefix is in use (cmake --install build --prefix PREFIX).  Sets
#   rswap_plugin_dir, rswap_unit_dir, rswap_shutdown_dir, rswap_tmpfiles_dir,
#   rswap_udev_dir,
#   rswap_sbin_dir, rswap_helper_dir: absolute, without DESTDIR
# from what CMakeLists.txt hands over:
#   RSWAP_PLUGIN_DIR, RSWAP_SYSTEMD_UNIT_DIR   the user's choice, or empty
#   NBDKIT_PLUGIN_DIR, SYSTEMD_UNIT_DIR   where nbdkit and systemd look
#   SBINDIR
#
# With the prefix /usr or /usr/local everything goes where nbdkit and systemd
# look for it; with any other prefix, nothing is put outside of it.
get_filename_component(rswap_prefix "${CMAKE_INSTALL_PREFIX}" ABSOLUTE)
if(rswap_prefix STREQUAL "/usr" OR rswap_prefix STREQUAL "/usr/local")
  set(rswap_plugin_dir "${NBDKIT_PLUGIN_DIR}")
else()
  set(rswap_plugin_dir lib/nbdkit/plugins)
endif()
# systemd looks into /usr/local/lib/systemd/system as well
if(rswap_prefix STREQUAL "/usr")
  set(rswap_unit_dir "${SYSTEMD_UNIT_DIR}")
else()
  set(rswap_unit_dir lib/systemd/system)
endif()
if(RSWAP_PLUGIN_DIR)
  set(rswap_plugin_dir "${RSWAP_PLUGIN_DIR}")
endif()
if(RSWAP_SYSTEMD_UNIT_DIR)
  set(rswap_unit_dir "${RSWAP_SYSTEMD_UNIT_DIR}")
endif()
set(rswap_sbin_dir "${SBINDIR}")
set(rswap_helper_dir libexec/rswap)
foreach(dir rswap_plugin_dir rswap_unit_dir rswap_sbin_dir rswap_helper_dir)
  get_filename_component(${dir} "${${dir}}" ABSOLUTE BASE_DIR "${rswap_prefix}")
endforeach()
# beside the units: what systemd-shutdown runs
get_filename_component(rswap_shutdown_dir "${rswap_unit_dir}/../system-shutdown"
  ABSOLUTE)
# where systemd-tmpfiles looks
get_filename_component(rswap_tmpfiles_dir "${rswap_unit_dir}/../../tmpfiles.d"
  ABSOLUTE)
# and where udev does
get_filename_component(rswap_udev_dir "${rswap_unit_dir}/../../udev/rules.d"
  ABSOLUTE)
