/* Stands in for the shard of ISA-L whose tables are its own affair, on a
 * machine whose processor makes ISA-L lay them out in the other way:
 * since 2.31, where there is GFNI, a coefficient takes 8 bytes, one after the
 * other, and the rest of the 32 bytes that a caller gives for each is unused.
 * Nothing that runs on such a machine can be had elsewhere: qemu's emulator has
 * no GFNI.
 *
 * Link with --wrap=ec_init_tables and --wrap=ec_encode_data. */
#ifndef RSWAP_OTHER_ISAL_H
#define RSWAP_OTHER_ISAL_H

/* The number of the call of ec_init_tables whose tables come out wrong in one
 * bit of one coefficient; 0: none. */
extern unsigned other_isal_breaks;
/* Calls of ec_init_tables so far. */
extern unsigned other_isal_calls;

#endif
