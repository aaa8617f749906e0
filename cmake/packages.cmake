# Packages by CPack, for a checkout: cpack --config build/CPackConfig.cmake.
# The packages are those of debian/: same names, and the same content, because
# both take it from the components of cmake --install.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME rswap)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "the rswap authors <rswap@localhost>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_COMPONENTS_ALL plugin nbd ublk memserver tools)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_STRIP_FILES ON)
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)

set(about "rswap lets a Linux machine swap to the memory of other machines, over\
 RDMA or TCP, on a stock kernel.")
foreach(component plugin nbd ublk memserver tools)
  string(TOUPPER ${component} upper)
  set(CPACK_COMPONENT_${upper}_DESCRIPTION "${about}")
endforeach()
set(CPACK_DEBIAN_PLUGIN_PACKAGE_NAME nbdkit-plugin-rswap)
set(CPACK_DEBIAN_PLUGIN_PACKAGE_DEPENDS nbdkit)
set(CPACK_DEBIAN_PLUGIN_PACKAGE_RECOMMENDS "ibverbs-providers, libcurl3-gnutls, rswap-tools")
set(CPACK_DEBIAN_NBD_PACKAGE_NAME rswap-nbd)
set(CPACK_DEBIAN_NBD_PACKAGE_RECOMMENDS "ibverbs-providers, libcurl3-gnutls, rswap-tools")
set(CPACK_DEBIAN_UBLK_PACKAGE_NAME rswap-ublk)
set(CPACK_DEBIAN_UBLK_PACKAGE_DEPENDS kmod)
set(CPACK_DEBIAN_UBLK_PACKAGE_RECOMMENDS "ibverbs-providers, libcurl3-gnutls, rswap-tools")
set(CPACK_DEBIAN_MEMSERVER_PACKAGE_NAME rswap-memserver)
set(CPACK_DEBIAN_MEMSERVER_PACKAGE_RECOMMENDS "ibverbs-providers, libcurl3-gnutls, rswap-tools")
set(CPACK_DEBIAN_TOOLS_PACKAGE_NAME rswap-tools)
set(CPACK_DEBIAN_TOOLS_PACKAGE_DEPENDS "iproute2, kmod, mount")
set(CPACK_DEBIAN_TOOLS_PACKAGE_RECOMMENDS "libcurl3-gnutls, rswap-nbd | rswap-ublk | nbdkit-plugin-rswap")
# CPack goes by the file's name.
configure_file(${PROJECT_SOURCE_DIR}/debian/rswap-tools.prerm
               ${PROJECT_BINARY_DIR}/packages/prerm COPYONLY)
set(CPACK_DEBIAN_TOOLS_PACKAGE_CONTROL_EXTRA
    ${PROJECT_BINARY_DIR}/packages/prerm)
include(CPack)
