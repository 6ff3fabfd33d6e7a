// SHA-256's compression with the CPU's own instructions, where it has them.

#ifndef CHASH_H
#define CHASH_H

#include <stddef.h>
#include <stdint.h>

// Compresses `count` blocks of 64 bytes into `state` (FIPS 180-4's eight words, in order). On a CPU without SHA
// instructions it does nothing and returns 0.
int chash_sha256(uint32_t state[8], const void *blocks, size_t count);

#endif
