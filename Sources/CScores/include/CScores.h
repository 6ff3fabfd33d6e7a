// Ranks of positives among all scores of a matrix product, without the matrix.
//
// A score is the dot product of an image row and a text row, summed in index order, with fused multiply-adds where the
// CPU has them. It depends only on the two rows, not on their places, so equal pairs of rows have equal scores to the
// bit.

#ifndef CSCORES_H
#define CSCORES_H

#include <stddef.h>
#include <stdint.h>

// Rows that one panel holds side by side; the row count of a packed matrix is rounded up to whole panels.
enum { cscores_image_rows = 6, cscores_text_rows = 16 };

// Floats that `rows` rows of `dimension` take when packed in panels of `panel` rows.
size_t cscores_packed_size(size_t rows, size_t dimension, size_t panel);

// Packs panels first..<last of row-major `source` ([rows, dimension]); lanes without a row become 0.
void cscores_pack(const float *source, size_t rows, size_t dimension, size_t panel, size_t first, size_t last,
                  float *target);

// The score of one image row and one text row, as the product computes it.
float cscores_dot(const float *image, const float *text, size_t dimension);

// What `cscores_count` compares with.
typedef struct {
    const float *images;  // packed in panels of cscores_image_rows
    const float *texts;   // packed in panels of cscores_text_rows
    size_t image_count;
    size_t text_count;
    size_t dimension;
    const float *best_score;      // of each image, its best positive's
    const int32_t *best_text;     // of each image, the first text of that score
    const float *own_score;       // of each text, with its own image
    const int32_t *image_of_text; // of each text; one panel's padding beyond the last
} cscores_problem;

// Counts over all images and the texts of panels first..<last:
// - before_text[i] grows by the texts that rank before image i's best positive: those with a greater score, or an equal
//   score and a lower index;
// - before_image[t] = the images that rank before text t's own image, by the same order.
// `scratch` has room for `cscores_scratch_size()` floats. Returns 1 when AVX2 and FMA were used.
int cscores_count(const cscores_problem *problem, size_t first, size_t last, int32_t *before_text,
                  int32_t *before_image, float *scratch);

size_t cscores_scratch_size(void);

#endif
