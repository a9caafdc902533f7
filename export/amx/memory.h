// Memory for what is read over and over: from the kernel, never from a pool, whose pages are small once they were used.
#ifndef SIFTLINE_MEMORY_H
#define SIFTLINE_MEMORY_H

#include <stddef.h>

// Zeros in pages as large as the kernel gives, aligned to 2 MB; NULL where memory lacks.
void *large_memory(size_t bytes);

// What `large_memory` gave for so many bytes; NULL may be given back too.
void release_memory(void *memory, size_t bytes);

#endif
