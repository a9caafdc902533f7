// Memory in pages as large as the system has them, for what is read again and again.
#ifndef SIFTLINE_MEMORY_H
#define SIFTLINE_MEMORY_H

#include <stddef.h>

// All 0; NULL where there is none. Given back by free().
void *large_memory(size_t bytes);

#endif
