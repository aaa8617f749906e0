#include "execroom.h"

#include <elf.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "swapinfo.h"

#define OVERCOMMIT_ALWAYS 1
#define OVERCOMMIT_NEVER  2

static bool is_elf64(const Elf64_Ehdr *header)
{
	return !memcmp(header->e_ident, ELFMAG, SELFMAG) &&
	       header->e_ident[EI_CLASS] == ELFCLASS64 &&
	       header->e_phentsize == sizeof(Elf64_Phdr);
}

/* The memory of the program's segments that is not in the file: its .bss. */
static bool static_bytes(const char *path, uint64_t *bytes)
{
	FILE *f = fopen(path, "re");
	Elf64_Ehdr header;
	Elf64_Phdr segment;
	bool ok;

	*bytes = 0;
	if (!f)
		return false;
	ok = fread(&header, sizeof header, 1, f) == 1 && is_elf64(&header) &&
	     fseek(f, (long)header.e_phoff, SEEK_SET) == 0;
	for (unsigned i = 0; ok && i < header.e_phnum; i++) {
		ok = fread(&segment, sizeof segment, 1, f) == 1;
		if (ok && segment.p_type == PT_LOAD)
			*bytes += segment.p_memsz - segment.p_filesz;
	}
	fclose(f);
	return ok;
}

static int overcommit(void)
{
	FILE *f = fopen("/proc/sys/vm/overcommit_memory", "re");
	int mode = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%d", &mode) != 1)
		mode = 0;
	fclose(f);
	return mode;
}

/* By default the kernel refuses a mapping that is larger than all memory and
 * swap.  With vm.overcommit_memory=2 it refuses one that is larger than the
 * memory that is not promised yet. */
static void read_account(struct execroom *room)
{
	uint64_t limit = meminfo_bytes("CommitLimit");
	uint64_t promised = meminfo_bytes("Committed_AS");

	room->has_bytes = UINT64_MAX;
	switch (overcommit()) {
	case OVERCOMMIT_ALWAYS:
		room->limit = "memory without limit";
		break;
	case OVERCOMMIT_NEVER:
		room->has_bytes = limit > promised ? limit - promised : 0;
		room->limit = "memory that may still be promised "
			      "(vm.overcommit_memory=2)";
		room->remedy = "raise vm.overcommit_ratio, add swap, or sysctl "
			       "vm.overcommit_memory=0";
		break;
	default:
		room->has_bytes =
			meminfo_bytes("MemTotal") + meminfo_bytes("SwapTotal");
		room->limit = "memory and swap";
		room->remedy = "sysctl vm.overcommit_memory=1, or add memory "
			       "or swap on a disk";
	}
}

static void read_limit(struct execroom *room, int resource, const char *name)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) < 0 ||
	    limit.rlim_cur == RLIM_INFINITY ||
	    limit.rlim_cur >= room->has_bytes)
		return;
	room->has_bytes = limit.rlim_cur;
	room->limit = name;
	room->remedy = "raise the limit (ulimit, or the unit's Limit...=)";
}

bool execroom_read(const char *path, struct execroom *room)
{
	*room = (struct execroom){ 0 };
	if (!static_bytes(path, &room->needs_bytes))
		return false;
	read_account(room);
	read_limit(room, RLIMIT_AS, "address space (RLIMIT_AS)");
	read_limit(room, RLIMIT_DATA, "data (RLIMIT_DATA)");
	return true;
}
