/* page.html as a string: the page that shows the figures of /metrics, of a
 * plugin or a memory server. */
#ifndef RSWAP_PAGE_H
#define RSWAP_PAGE_H

#define PAGE_TYPE "text/html; charset=utf-8"

extern const char page_html[];

#endif
