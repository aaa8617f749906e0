/* What the kernel's ublk driver takes and gives: the commands of Linux 6.4 and
 * later, and the layout of their arguments.  The header of the C library's
 * package (linux/ublk_cmd.h) may be older than the kernel that runs, so this
 * one is used whatever the system has.  All numbers are in the machine's byte
 * order. */
#ifndef RSWAP_UBLK_KERNEL_H
#define RSWAP_UBLK_KERNEL_H

#include <errno.h>
#include <stdint.h>
#include <sys/ioctl.h>

#define UBLK_CONTROL_PATH "/dev/ublk-control"

/* --- commands to /dev/ublk-control --- */

struct ublk_control_command {
	uint32_t dev_id;
	uint16_t queue_id; /* UBLK_NO_QUEUE */
	uint16_t len;	   /* bytes at addr */
	uint64_t addr;
	uint64_t data;
	/* A device without privileges: the bytes of the path of its character
	 * device, with which the buffer at addr begins. */
	uint16_t dev_path_len;
	uint16_t pad;
	uint32_t reserved;
};
_Static_assert(sizeof(struct ublk_control_command) == 32, "the kernel's");

#define UBLK_ANY_ID   UINT32_MAX
#define UBLK_NO_QUEUE UINT16_MAX

#define UBLK_CONTROL(dir, number)                                              \
	((uint32_t)_IOC(dir, 'u', number, sizeof(struct ublk_control_command)))
#define UBLK_ADD_DEV	   UBLK_CONTROL(_IOC_READ | _IOC_WRITE, 0x04)
#define UBLK_DEL_DEV	   UBLK_CONTROL(_IOC_READ | _IOC_WRITE, 0x05)
#define UBLK_START_DEV	   UBLK_CONTROL(_IOC_READ | _IOC_WRITE, 0x06)
#define UBLK_STOP_DEV	   UBLK_CONTROL(_IOC_READ | _IOC_WRITE, 0x07)
#define UBLK_SET_PARAMS	   UBLK_CONTROL(_IOC_READ | _IOC_WRITE, 0x08)
#define UBLK_GET_DEV_INFO2 UBLK_CONTROL(_IOC_READ, 0x12)

struct ublk_dev_info {
	uint16_t queues;
	uint16_t queue_depth;
	uint16_t state;
	uint16_t pad0;
	uint32_t max_io_bytes;
	uint32_t dev_id;
	int32_t pid; /* of the process that serves, or that served */
	uint32_t pad1;
	uint64_t flags;
	uint64_t ublksrv_flags;
	uint32_t owner_uid, owner_gid;
	uint64_t reserved[2];
};
_Static_assert(sizeof(struct ublk_dev_info) == 64, "the kernel's");

/* Flags. */
#define UBLK_F_UNPRIVILEGED_DEV (UINT64_C(1) << 5)
#define UBLK_F_IOCTL_ENCODE	(UINT64_C(1) << 6)

/* States. */
#define UBLK_S_DEAD 0

struct ublk_params {
	uint32_t len;
	uint32_t types;
	struct {
		uint32_t attrs;
		uint8_t logical_bs_shift;
		uint8_t physical_bs_shift;
		uint8_t io_opt_shift;
		uint8_t io_min_shift;
		uint32_t max_sectors;
		uint32_t chunk_sectors;
		uint64_t dev_sectors;
		uint64_t virt_boundary_mask;
	} basic;
	struct {
		uint32_t alignment;
		uint32_t granularity;
		uint32_t max_sectors;
		uint32_t max_write_zeroes_sectors;
		uint16_t max_segments;
		uint16_t reserved;
	} discard;
	uint32_t pad;
};
_Static_assert(sizeof(struct ublk_params) == 64, "the kernel's");

#define UBLK_PARAM_BASIC   1u
#define UBLK_PARAM_DISCARD 2u

#define UBLK_SECTOR_SHIFT 9

/* --- requests, by /dev/ublkcN --- */

#define UBLK_DEPTH_MAX 4096

/* A request.  Of each queue there is an array of them, by tag, which is mapped
 * from the character device at UBLK_REQUESTS_OFFSET. */
struct ublk_request {
	uint32_t op_flags;
	uint32_t sectors;
	uint64_t start_sector;
	uint64_t addr;
};
_Static_assert(sizeof(struct ublk_request) == 24, "the kernel's");

#define UBLK_REQUESTS_OFFSET(queue)                                            \
	((uint64_t)(queue)*UBLK_DEPTH_MAX * sizeof(struct ublk_request))

enum ublk_op {
	UBLK_READ = 0,
	UBLK_WRITE = 1,
	UBLK_FLUSH = 2,
	UBLK_DISCARD = 3,
	UBLK_WRITE_ZEROES = 5,
};
#define UBLK_OP(op_flags) ((enum ublk_op)((op_flags)&0xff))

/* The argument of FETCH and COMMIT_AND_FETCH. */
struct ublk_io_command {
	uint16_t queue;
	uint16_t tag;
	int32_t result; /* of a COMMIT: bytes, or a negative errno */
	uint64_t addr;	/* the buffer of TAG */
};
_Static_assert(sizeof(struct ublk_io_command) == 16, "the kernel's");

#define UBLK_IO(number)	      ((uint32_t)_IOWR('u', number, struct ublk_io_command))
#define UBLK_FETCH	      UBLK_IO(0x20)
#define UBLK_COMMIT_AND_FETCH UBLK_IO(0x21)

/* How a FETCH ends: there is a request, or there will be none any more. */
#define UBLK_RES_OK    0
#define UBLK_RES_ABORT (-ENODEV)

#endif
