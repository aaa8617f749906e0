#include "flow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"

static struct flow *flows;
static size_t n_flows;

static struct flow *find(const char *name)
{
	struct flow *more;

	for (size_t i = 0; i < n_flows; i++) {
		if (!strcmp(flows[i].name, name))
			return &flows[i];
	}
	more = realloc(flows, (n_flows + 1) * sizeof *flows);
	if (!more)
		return NULL;
	flows = more;
	memset(&flows[n_flows], 0, sizeof *flows);
	snprintf(flows[n_flows].name, sizeof flows->name, "%s", name);
	return &flows[n_flows++];
}

const struct flow *flow_look(const char *name, struct json_object *counts,
			     uint64_t pid, uint64_t now_ns)
{
	static const char *const members[] = { "reads", "writes", "read_bytes",
					       "write_bytes" };
	struct flow *f = find(name);
	double rates[4] = { 0 };

	if (!f)
		return NULL;
	f->known = f->at_ns && f->at_ns < now_ns && f->pid == pid;
	for (int i = 0; i < 4; i++) {
		uint64_t now = answer_number(counts, members[i]);

		if (f->known && now >= f->counted[i])
			rates[i] = (double)(now - f->counted[i]) /
				   ((double)(now_ns - f->at_ns) / 1e9);
		f->counted[i] = now;
	}
	f->at_ns = now_ns;
	f->pid = pid;
	f->reads = rates[0];
	f->writes = rates[1];
	f->read_bytes = rates[2];
	f->write_bytes = rates[3];
	if (f->known) {
		spark_add(&f->past_reads, f->reads);
		spark_add(&f->past_writes, f->writes);
	}
	return f;
}
