#include "memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096, LARGE_PAGE = 1 << 21 };

void *large_memory(size_t bytes) {
  const size_t page = bytes < LARGE_PAGE / 2 ? PAGE : LARGE_PAGE;
  const size_t whole = (bytes + page - 1) / page * page;
  void *found = aligned_alloc(page, whole);
  if (!found) return NULL;
  if (page == LARGE_PAGE) madvise(found, whole, MADV_HUGEPAGE);
  return memset(found, 0, whole);
}
