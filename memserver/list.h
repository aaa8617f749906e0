/* A doubly linked list in the kernel's manner, as little of it as is needed:
 * a list is a struct list that points at itself when it is empty.  No locking.
 */
#ifndef RSWAP_LIST_H
#define RSWAP_LIST_H

#include <stdbool.h>
#include <stddef.h>

#define container_of(ptr, type, member)                                        \
	((type *)((char *)(ptr)-offsetof(type, member)))

struct list {
	struct list *prev;
	struct list *next;
};

static inline void list_init(struct list *list)
{
	list->prev = list->next = list;
}

static inline bool list_empty(const struct list *list)
{
	return list->next == list;
}

static inline void list_append(struct list *list, struct list *item)
{
	item->prev = list->prev;
	item->next = list;
	list->prev->next = item;
	list->prev = item;
}

/* ITEM is an empty list of its own afterwards: removing it again is harmless.
 */
static inline void list_remove(struct list *item)
{
	item->prev->next = item->next;
	item->next->prev = item->prev;
	list_init(item);
}

/* Walks the list at HEAD; the loop's body may remove ITEM. */
#define list_for_each(item, head)                                              \
	for (struct list *item = (head)->next, *item##_next = item->next;      \
	     item != (head); item = item##_next, item##_next = item->next)

#endif
