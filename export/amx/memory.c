#include "memory.h"

#include <sys/mman.h>

enum { LARGE_PAGE = 1 << 21 };

static size_t whole_pages(size_t bytes) { return (bytes + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE; }

// A page more is asked for, and what lies before the first large page and behind the last given back.
void *large_memory(size_t bytes) {
  const size_t whole = whole_pages(bytes);
  char *found = mmap(NULL, whole + LARGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (found == MAP_FAILED) return NULL;
  const size_t before = -(size_t)found % LARGE_PAGE;
  if (before) munmap(found, before);
  munmap(found + before + whole, LARGE_PAGE - before);
  madvise(found + before, whole, MADV_HUGEPAGE);
  return found + before;
}

void release_memory(void *memory, size_t bytes) {
  if (memory) munmap(memory, whole_pages(bytes));
}
