// The body of cscores_count, compiled once per instruction set: scores.c defines TARGET, NAME and the operations on
// vectors of eight lanes before it includes this.
//
// A tile is 6 images by 16 texts: 12 accumulators of 8 lanes, two vectors of texts and one image number fill the 16
// registers. The dimension is cut into stretches, so that the texts of a panel stay in the first-level cache while the
// images of a block pass by (which stay in the second). Between stretches the sums of a tile wait in `scratch`. After
// the last stretch the scores are compared in registers and dropped.

TARGET static inline __attribute__((always_inline)) void NAME(accumulate)(const float *restrict a,
                                                                         const float *restrict b, size_t depth,
                                                                         VEC sums[MR][2]) {
    VEC s00 = sums[0][0], s01 = sums[0][1], s10 = sums[1][0], s11 = sums[1][1], s20 = sums[2][0], s21 = sums[2][1];
    VEC s30 = sums[3][0], s31 = sums[3][1], s40 = sums[4][0], s41 = sums[4][1], s50 = sums[5][0], s51 = sums[5][1];
    for (size_t k = 0; k < depth; ++k) {
        const VEC b0 = LOAD(b), b1 = LOAD(b + 8);
        VEC x = SPREAD(a[0]);
        s00 = FMA(x, b0, s00), s01 = FMA(x, b1, s01);
        x = SPREAD(a[1]);
        s10 = FMA(x, b0, s10), s11 = FMA(x, b1, s11);
        x = SPREAD(a[2]);
        s20 = FMA(x, b0, s20), s21 = FMA(x, b1, s21);
        x = SPREAD(a[3]);
        s30 = FMA(x, b0, s30), s31 = FMA(x, b1, s31);
        x = SPREAD(a[4]);
        s40 = FMA(x, b0, s40), s41 = FMA(x, b1, s41);
        x = SPREAD(a[5]);
        s50 = FMA(x, b0, s50), s51 = FMA(x, b1, s51);
        a += MR;
        b += NR;
    }
    sums[0][0] = s00, sums[0][1] = s01, sums[1][0] = s10, sums[1][1] = s11, sums[2][0] = s20, sums[2][1] = s21;
    sums[3][0] = s30, sums[3][1] = s31, sums[4][0] = s40, sums[4][1] = s41, sums[5][0] = s50, sums[5][1] = s51;
}

// Compares the finished scores of images from `image` on and texts from `text` on. `above` grows by one for every image
// that ranks before a text's own image.
TARGET static inline __attribute__((always_inline)) void NAME(compare)(const cscores_problem *p, size_t image,
                                                                      size_t text, VEC sums[MR][2],
                                                                      int32_t *before_text, INT above[2]) {
    const INT lanes[2] = {LANES, ADD(LANES, SPREAD_INT(8))};
    const INT width = SPREAD_INT((int32_t)p->text_count), base = SPREAD_INT((int32_t)text);
    for (size_t half = 0; half < 2; ++half) {
        const INT index = ADD(base, lanes[half]);
        const INT real = GREATER_INT(width, index);  // the last panel's padding is no text
        const VEC own = LOAD(p->own_score + text + 8 * half);
        const INT owner = LOAD_INT(p->image_of_text + text + 8 * half);
        for (size_t row = 0; row < MR; ++row) {
            if (image + row >= p->image_count) break;
            const VEC score = sums[row][half];
            const VEC best = SPREAD(p->best_score[image + row]);
            const INT first = SPREAD_INT(p->best_text[image + row]);
            const INT text_wins = OR(GREATER(score, best), AND(EQUAL(score, best), GREATER_INT(first, index)));
            before_text[image + row] += COUNT(AND(text_wins, real));
            const INT here = SPREAD_INT((int32_t)(image + row));
            const INT image_wins = OR(GREATER(score, own), AND(EQUAL(score, own), GREATER_INT(owner, here)));
            above[half] = SUBTRACT(above[half], image_wins);  // a true lane is -1
        }
    }
}

TARGET static void NAME(count)(const cscores_problem *p, size_t first, size_t last, int32_t *before_text,
                               int32_t *before_image, float *scratch) {
    const size_t panels = (p->image_count + MR - 1) / MR;
    for (size_t start = 0; start < panels; start += block_panels) {
        const size_t end = start + block_panels < panels ? start + block_panels : panels;
        for (size_t column = first; column < last; ++column) {
            const float *texts = p->texts + column * NR * p->dimension;
            INT above[2] = {LOAD_INT(before_image + column * NR), LOAD_INT(before_image + column * NR + 8)};
            for (size_t k = 0; k < p->dimension; k += stretch) {
                const size_t depth = k + stretch < p->dimension ? stretch : p->dimension - k;
                const int is_last = k + depth == p->dimension;
                for (size_t panel = start; panel < end; ++panel) {
                    float *waiting = scratch + (panel - start) * MR * NR;
                    VEC sums[MR][2];
                    for (size_t row = 0; row < MR; ++row) {
                        for (size_t half = 0; half < 2; ++half) {
                            sums[row][half] = k == 0 ? SPREAD(0) : LOAD(waiting + row * NR + 8 * half);
                        }
                    }
                    NAME(accumulate)(p->images + panel * MR * p->dimension + k * MR, texts + k * NR, depth, sums);
                    if (is_last) {
                        NAME(compare)(p, panel * MR, column * NR, sums, before_text, above);
                    } else {
                        for (size_t row = 0; row < MR; ++row) {
                            for (size_t half = 0; half < 2; ++half) {
                                STORE(waiting + row * NR + 8 * half, sums[row][half]);
                            }
                        }
                    }
                }
            }
            STORE_INT(before_image + column * NR, above[0]);
            STORE_INT(before_image + column * NR + 8, above[1]);
        }
    }
}
