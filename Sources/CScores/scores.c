#include "CScores.h"

// Whether a product and a sum are rounded once or twice is decided by the section of each instruction set, never by the
// compiler.
#pragma STDC FP_CONTRACT OFF

enum {
    MR = cscores_image_rows,
    NR = cscores_text_rows,
    stretch = 256,      // of the dimension: 16 KiB of texts, half the first-level cache
    block_panels = 24,  // of images: 288 KiB at 512 dimensions, about half the second-level cache
};

size_t cscores_packed_size(size_t rows, size_t dimension, size_t panel) {
    return (rows + panel - 1) / panel * panel * dimension;
}

void cscores_pack(const float *source, size_t rows, size_t dimension, size_t panel, size_t first, size_t last,
                  float *target) {
    for (size_t number = first; number < last; ++number) {
        float *out = target + number * panel * dimension;
        for (size_t lane = 0; lane < panel; ++lane) {
            const size_t row = number * panel + lane;
            const float *in = source + row * dimension;
            for (size_t k = 0; k < dimension; ++k) out[k * panel + lane] = row < rows ? in[k] : 0;
        }
    }
}

size_t cscores_scratch_size(void) { return block_panels * MR * NR; }

// Portable: vectors of eight lanes, as the compiler supports them.
typedef float portable_floats __attribute__((vector_size(32)));
typedef int32_t portable_ints __attribute__((vector_size(32)));
typedef float unaligned_floats __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t unaligned_ints __attribute__((vector_size(32), aligned(4), may_alias));

static inline int count_lanes(const portable_ints *mask) {
    int count = 0;
    for (int lane = 0; lane < 8; ++lane) count -= (*mask)[lane];
    return count;
}

#define NAME(name) portable_##name
#define TARGET
#define VEC portable_floats
#define INT portable_ints
#define LOAD(from) (*(const unaligned_floats *)(from))
#define STORE(to, v) (*(unaligned_floats *)(to) = (v))
#define LOAD_INT(from) (*(const unaligned_ints *)(from))
#define STORE_INT(to, v) (*(unaligned_ints *)(to) = (v))
#define SPREAD(x) ((portable_floats){0} + (float)(x))
#define SPREAD_INT(x) ((portable_ints){0} + (int32_t)(x))
#define LANES ((portable_ints){0, 1, 2, 3, 4, 5, 6, 7})
#define FMA(a, b, c) ((a) * (b) + (c))
#define ADD(a, b) ((a) + (b))
#define SUBTRACT(a, b) ((a) - (b))
#define GREATER(a, b) ((portable_ints)((a) > (b)))
#define EQUAL(a, b) ((portable_ints)((a) == (b)))
#define GREATER_INT(a, b) ((portable_ints)((a) > (b)))
#define AND(a, b) ((a) & (b))
#define OR(a, b) ((a) | (b))
#define COUNT(mask) count_lanes(&(portable_ints){mask})
#include "count.h"

static float portable_dot(const float *image, const float *text, size_t dimension) {
    float sum = 0;
    for (size_t k = 0; k < dimension; ++k) sum = image[k] * text[k] + sum;
    return sum;
}

#undef NAME
#undef TARGET
#undef VEC
#undef INT
#undef LOAD
#undef STORE
#undef LOAD_INT
#undef STORE_INT
#undef SPREAD
#undef SPREAD_INT
#undef LANES
#undef FMA
#undef ADD
#undef SUBTRACT
#undef GREATER
#undef EQUAL
#undef GREATER_INT
#undef AND
#undef OR
#undef COUNT

#if defined(__x86_64__)
#include <immintrin.h>

#define NAME(name) avx2_##name
#define TARGET __attribute__((target("avx2,fma")))
#define VEC __m256
#define INT __m256i
#define LOAD(from) _mm256_loadu_ps(from)
#define STORE(to, v) _mm256_storeu_ps(to, v)
#define LOAD_INT(from) _mm256_loadu_si256((const __m256i *)(from))
#define STORE_INT(to, v) _mm256_storeu_si256((__m256i *)(to), v)
#define SPREAD(x) _mm256_set1_ps(x)
#define SPREAD_INT(x) _mm256_set1_epi32(x)
#define LANES _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)
#define FMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#define ADD(a, b) _mm256_add_epi32(a, b)
#define SUBTRACT(a, b) _mm256_sub_epi32(a, b)
#define GREATER(a, b) _mm256_castps_si256(_mm256_cmp_ps(a, b, _CMP_GT_OQ))
#define EQUAL(a, b) _mm256_castps_si256(_mm256_cmp_ps(a, b, _CMP_EQ_OQ))
#define GREATER_INT(a, b) _mm256_cmpgt_epi32(a, b)
#define AND(a, b) _mm256_and_si256(a, b)
#define OR(a, b) _mm256_or_si256(a, b)
#define COUNT(mask) __builtin_popcount((unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(mask)))
#include "count.h"

TARGET static float avx2_dot(const float *image, const float *text, size_t dimension) {
    float sum = 0;
    for (size_t k = 0; k < dimension; ++k) sum = __builtin_fmaf(image[k], text[k], sum);
    return sum;
}

static int has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#else
static int has_avx2(void) { return 0; }
#endif

float cscores_dot(const float *image, const float *text, size_t dimension) {
#if defined(__x86_64__)
    if (has_avx2()) return avx2_dot(image, text, dimension);
#endif
    return portable_dot(image, text, dimension);
}

int cscores_count(const cscores_problem *problem, size_t first, size_t last, int32_t *before_text,
                  int32_t *before_image, float *scratch) {
#if defined(__x86_64__)
    if (has_avx2()) {
        avx2_count(problem, first, last, before_text, before_image, scratch);
        return 1;
    }
#endif
    portable_count(problem, first, last, before_text, before_image, scratch);
    return 0;
}
