/* doctor: RDMA devices, as sysfs shows them. */
#include "doctor.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "module.h"
#include "sysfile.h"

#define RDMA "/sys/class/infiniband/%s"
#define PORT RDMA "/ports/%d"

/* Of the bytes of a frame that the kernel takes off before it chooses the MTU
 * of RoCE (iboe_get_mtu): all headers that a packet may have. */
#define ROCE_HEADER_BYTES 96
#define ROCE_LEAST_MTU	  256
#define ROCE_LARGEST_MTU  4096

static void tell_module(const char *name, enum found missing,
			const char *remedy)
{
	char what[32];

	snprintf(what, sizeof what, "module %s", name);
	if (module_loaded(name))
		doctor_tell(FOUND_OK, what, NULL, "loaded");
	else if (module_available(name))
		doctor_tell(FOUND_OK, what, NULL, "there, not loaded yet");
	else
		doctor_tell(missing, what, remedy, "not there");
}

/* --- a port of RoCE --- */

/* The network interface of a port; false if sysfs does not tell. */
static bool read_interface(const char *device, int port, char *name,
			   size_t size)
{
	struct sysfile_names gids;

	sysfile_list(&gids, PORT "/gid_attrs/ndevs", device, port);
	for (int i = 0; i < gids.n; i++) {
		if (sysfile_line(name, size, PORT "/gid_attrs/ndevs/%s", device,
				 port, gids.text[i]) &&
		    *name)
			return true;
	}
	return false;
}

/* The largest packet that RoCE sends in frames of FRAME_BYTES. */
static int64_t roce_mtu(int64_t frame_bytes)
{
	int64_t mtu = ROCE_LARGEST_MTU;

	while (mtu > ROCE_LEAST_MTU && mtu > frame_bytes - ROCE_HEADER_BYTES)
		mtu /= 2;
	return mtu;
}

static void check_mtu(const char *device, int port, const char *what)
{
	char interface[32];
	int64_t frame_bytes, mtu;

	if (!read_interface(device, port, interface, sizeof interface) ||
	    !sysfile_number(&frame_bytes, "/sys/class/net/%s/mtu", interface))
		return;
	mtu = roce_mtu(frame_bytes);
	if (mtu < ROCE_LARGEST_MTU)
		doctor_find(what, FINDING_MTU_SMALL,
			    "%s has MTU %" PRId64 ", so RDMA sends %" PRId64
			    " bytes a packet, and a page in %" PRId64,
			    interface, frame_bytes, mtu,
			    ROCE_LARGEST_MTU / mtu);
	else
		doctor_tell(FOUND_OK, what, NULL,
			    "%s has MTU %" PRId64 ": a page fits a packet",
			    interface, frame_bytes);
}

/* fe80::/64, which each interface has by itself, and the empty entry. */
static bool is_address(const char *gid)
{
	static const char none[] = "0000:0000:0000:0000:";

	return *gid && strncmp(gid, "fe80:", 5) != 0 &&
	       !(strncmp(gid, none, strlen(none)) == 0 &&
		 strcmp(gid + strlen(none), "0000:0000:0000:0000") == 0);
}

/* A RoCE connection goes from GID to GID.  Each IP address of the interface
 * gives one.  The type of RoCE v1 has no IP header, so no router passes it. */
static void check_gids(const char *device, int port, const char *what)
{
	struct sysfile_names gids;
	int addresses = 0, v2 = 0;

	sysfile_list(&gids, PORT "/gids", device, port);
	for (int i = 0; i < gids.n; i++) {
		char gid[48], type[32];

		if (!sysfile_line(gid, sizeof gid, PORT "/gids/%s", device,
				  port, gids.text[i]) ||
		    !is_address(gid))
			continue;
		addresses++;
		v2 += sysfile_line(type, sizeof type,
				   PORT "/gid_attrs/types/%s", device, port,
				   gids.text[i]) &&
		      strstr(type, "v2");
	}
	if (!addresses)
		doctor_find(what, FINDING_NO_GID,
			    "no GID of an IP address: RDMA can't connect from "
			    "this port");
	else if (!v2)
		doctor_find(what, FINDING_NO_GID,
			    "no GID of RoCE v2, only of v1");
	else
		doctor_tell(FOUND_OK, what, NULL, "%d GID%s of RoCE v2", v2,
			    v2 == 1 ? "" : "s");
}

/* --- a device --- */

static bool is_iwarp(const char *device)
{
	char type[32];

	return sysfile_line(type, sizeof type, RDMA "/node_type", device) &&
	       strstr(type, "RNIC");
}

static void check_port(const char *device, int port, const char *state)
{
	char what[96], layer[32];

	snprintf(what, sizeof what, "RDMA %.60s port %d", device, port);
	if (!sysfile_line(layer, sizeof layer, PORT "/link_layer", device,
			  port))
		snprintf(layer, sizeof layer, "?");
	if (!strstr(state, "ACTIVE")) {
		doctor_tell(FOUND_WARN, what,
			    "check cable, ip link, and (InfiniBand) the subnet "
			    "manager",
			    "%s, %s", state, layer);
		return;
	}
	if (is_iwarp(device)) {
		doctor_tell(FOUND_WARN, what, "pages will travel over TCP",
			    "%s, iWARP, which is not used: a page may count as "
			    "written before it has arrived",
			    state);
		return;
	}
	doctor_tell(FOUND_OK, what, NULL, "%s, %s", state, layer);
	/* InfiniBand's MTU is the subnet's, and its GID the port's own. */
	if (strcmp(layer, "Ethernet") != 0)
		return;
	check_mtu(device, port, what);
	check_gids(device, port, what);
}

void doctor_rdma(void)
{
	static const char remedy[] = "needed for transport=rdma only";
	struct sysfile_names devices;

	tell_module("ib_uverbs", FOUND_WARN, remedy);
	tell_module("rdma_ucm", FOUND_WARN, remedy);
	tell_module("rdma_rxe", FOUND_OK,
		    "only for trying RDMA without RDMA hardware");
	sysfile_list(&devices, "/sys/class/infiniband");
	for (int i = 0; i < devices.n; i++) {
		const char *device = devices.text[i];
		char state[32];
		int64_t node;

		if (sysfile_number(&node, RDMA "/device/numa_node", device) &&
		    node >= 0)
			doctor_numa(device, node);
		for (int port = 1; sysfile_line(state, sizeof state,
						PORT "/state", device, port);
		     port++)
			check_port(device, port, state);
	}
	if (devices.n == 0)
		doctor_tell(FOUND_WARN, "RDMA devices",
			    module_available("rdma_rxe")
				    ? "pages will travel over TCP; for a trial "
				      "without hardware: rdma link add rxe0 "
				      "type rxe netdev DEVICE"
				    : "pages will travel over TCP",
			    "none");
}
