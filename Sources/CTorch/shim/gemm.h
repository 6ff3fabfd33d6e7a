// float32 matrix products of our own for CPUs with AVX2 (gemm.cpp).
#pragma once

#include <ATen/ATen.h>

#include <optional>

namespace shim {

/// A matrix in memory: elements `row` and `column` apart, one of them 1.
struct MatrixView {
    const float *data;
    int64_t row, column;

    MatrixView transposed() const { return {data, column, row}; }
};

/// Whether this CPU runs `matrix_product`.
bool has_matrix_product();

/// c [m, n] (rows of ldc floats) = a [m, k] · b [k, n] + bias [n], on all threads; `adds` adds to what is in c instead.
void matrix_product(int64_t m, int64_t n, int64_t k, MatrixView a, MatrixView b, const float *bias, float *c, int64_t ldc,
                    bool adds);

/// x · weight + bias with gradients, through `matrix_product`; nothing when it does not apply or would not be faster.
std::optional<at::Tensor> dense_linear(const at::Tensor &x, const at::Tensor &weight, bool in_out,
                                       const std::optional<at::Tensor> &bias);

}  // namespace shim
