// Products with the thin matrices of low-rank updates.
//
// A rank of 4 leaves a general matrix product nothing to block: it is called for tenths of a millisecond of reading. Here rows
// pass by once, four at a time with four ranks, and what belongs together shares the pass: dy · b and dyᵀ · low. Sums are float32.
#include "lanes.h"

#include <ATen/Parallel.h>

#include <vector>

#include "kernels.h"
#include "low_rank.h"

namespace shim::low_rank {

#if defined(__x86_64__)
namespace {

constexpr int64_t W = lanes::kCount;
constexpr int64_t kGroup = 4;      // rows, and ranks, of one pass
constexpr int64_t kMostRanks = 64;

int64_t grouped(int64_t count) { return (count + kGroup - 1) / kGroup * kGroup; }

/// A matrix `[R, width]` as float32 with zero rows up to a whole group.
std::vector<float> wide(const at::Tensor &matrix) {
    const int64_t ranks = matrix.size(0), width = matrix.size(1);
    auto dense = matrix.to(at::kFloat).contiguous();
    std::vector<float> out(static_cast<size_t>(grouped(ranks) * width), 0.0f);
    std::copy_n(dense.const_data_ptr<float>(), ranks * width, out.data());
    return out;
}

template <typename Number>
float number(const Number *x) { return static_cast<float>(*x); }

/// low[rows][R] = x[rows][width] · a[R][width]ᵀ for up to four rows.
template <typename Number>
SHIM_LANES void inputs_of(const Number *const *rows, int64_t count, int64_t width, const float *a, int64_t ranks, Number *low, int64_t stride) {
    for (int64_t g = 0; g < ranks; g += kGroup) {
        __m512 sums[kGroup][kGroup];
#pragma GCC unroll 4
        for (int i = 0; i < kGroup; i++) {
#pragma GCC unroll 4
            for (int r = 0; r < kGroup; r++) sums[i][r] = _mm512_setzero_ps();
        }
        const float *b = a + g * width;
        for (int64_t c = 0; c < width; c += W) {
            __m512 v[kGroup];
#pragma GCC unroll 4
            for (int i = 0; i < kGroup; i++) v[i] = lanes::load(rows[i] + c);
#pragma GCC unroll 4
            for (int r = 0; r < kGroup; r++) {
                const __m512 w = lanes::load(b + r * width + c);
#pragma GCC unroll 4
                for (int i = 0; i < kGroup; i++) sums[i][r] = _mm512_fmadd_ps(v[i], w, sums[i][r]);
            }
        }
        for (int64_t i = 0; i < count; i++) {
            for (int64_t r = 0; r < std::min(kGroup, ranks - g); r++) {
                low[i * stride + g + r] = static_cast<Number>(_mm512_reduce_add_ps(sums[i][r]));
            }
        }
    }
}

/// sums[R][width] += factors[4][R]ᵀ · x[4][width]: rows that are missing have factors of 0.
template <typename Number>
SHIM_LANES void add_rows(const Number *const *rows, int64_t width, const float *factors, int64_t ranks, float *sums) {
    for (int64_t g = 0; g < ranks; g += kGroup) {
        __m512 f[kGroup][kGroup];
#pragma GCC unroll 4
        for (int i = 0; i < kGroup; i++) {
#pragma GCC unroll 4
            for (int r = 0; r < kGroup; r++) f[i][r] = _mm512_set1_ps(factors[i * ranks + g + r]);
        }
        float *out = sums + g * width;
        for (int64_t c = 0; c < width; c += W) {
            __m512 v[kGroup];
#pragma GCC unroll 4
            for (int i = 0; i < kGroup; i++) v[i] = lanes::load(rows[i] + c);
#pragma GCC unroll 4
            for (int r = 0; r < kGroup; r++) {
                __m512 sum = lanes::load(out + r * width + c);
#pragma GCC unroll 4
                for (int i = 0; i < kGroup; i++) sum = _mm512_fmadd_ps(f[i][r], v[i], sum);
                lanes::store(out + r * width + c, sum);
            }
        }
    }
}

/// Calls `body(thread, first, last)` over rows, in as many equal parts as there are threads: sums of parts come in order.
template <typename Body>
int64_t in_parts(int64_t rows, Body body) {
    const int64_t parts = std::max<int64_t>(1, std::min<int64_t>(at::get_num_threads(), rows / 64));
    const int64_t part = (rows + parts - 1) / parts;
    at::parallel_for(0, parts, 1, [&](int64_t first, int64_t last) {
        for (int64_t p = first; p < last; p++) body(p, p * part, std::min(rows, (p + 1) * part));
    });
    return parts;
}

/// Rows from `first`, four pointers; what is beyond `last` points at the first.
template <typename Number>
void four(const Number *x, int64_t stride, int64_t first, int64_t last, const Number *(&rows)[kGroup]) {
    for (int64_t i = 0; i < kGroup; i++) rows[i] = x + (first + i < last ? first + i : first) * stride;
}

/// Sums of the parts, `[R, width]`, as a tensor of `dtype`.
at::Tensor added(const std::vector<float> &sums, int64_t parts, int64_t ranks, int64_t width, at::ScalarType dtype) {
    auto total = at::empty({ranks, width}, at::TensorOptions().dtype(at::kFloat));
    float *out = total.mutable_data_ptr<float>();
    const int64_t size = grouped(ranks) * width;
    std::copy_n(sums.data(), ranks * width, out);
    for (int64_t p = 1; p < parts; p++) {
        for (int64_t i = 0; i < ranks * width; i++) out[i] += sums[static_cast<size_t>(p * size + i)];
    }
    return total.to(dtype);
}

template <typename Number>
at::Tensor gathered_of(const at::Tensor &dlow, const at::Tensor &x) {
    const int64_t ranks = dlow.size(1), width = x.size(1), whole = grouped(ranks), size = whole * width;
    std::vector<float> sums(static_cast<size_t>(at::get_num_threads() * size), 0.0f);
    const Number *in = x.const_data_ptr<Number>(), *low = dlow.const_data_ptr<Number>();
    const int64_t parts = in_parts(x.size(0), [&](int64_t part, int64_t first, int64_t last) {
        std::vector<float> factors(static_cast<size_t>(kGroup * whole));
        for (int64_t n = first; n < last; n += kGroup) {
            const Number *rows[kGroup];
            four(in, x.stride(0), n, last, rows);
            for (int64_t i = 0; i < kGroup; i++) {
                for (int64_t r = 0; r < ranks; r++) {
                    factors[static_cast<size_t>(i * whole + r)] = n + i < last ? number(low + (n + i) * dlow.stride(0) + r) : 0;
                }
            }
            add_rows(rows, width, factors.data(), whole, sums.data() + part * size);
        }
    });
    return added(sums, parts, ranks, width, x.scalar_type());
}

template <typename Number>
at::Tensor back_of(const at::Tensor &dy, const at::Tensor &b, const at::Tensor &low, double scale, const at::Tensor &dlow) {
    const int64_t ranks = b.size(1), width = dy.size(1), whole = grouped(ranks), size = whole * width;
    const auto bT = wide(b.t().to(at::kFloat) * scale);
    std::vector<float> sums(static_cast<size_t>(at::get_num_threads() * size), 0.0f);
    const Number *in = dy.const_data_ptr<Number>(), *lows = low.const_data_ptr<Number>();
    Number *out = dlow.mutable_data_ptr<Number>();
    const int64_t parts = in_parts(dy.size(0), [&](int64_t part, int64_t first, int64_t last) {
        std::vector<float> factors(static_cast<size_t>(kGroup * whole));
        for (int64_t n = first; n < last; n += kGroup) {
            const Number *rows[kGroup];
            four(in, dy.stride(0), n, last, rows);
            inputs_of(rows, std::min(kGroup, last - n), width, bT.data(), ranks, out + n * dlow.stride(0), dlow.stride(0));
            for (int64_t i = 0; i < kGroup; i++) {
                for (int64_t r = 0; r < ranks; r++) {
                    factors[static_cast<size_t>(i * whole + r)] =
                        n + i < last ? static_cast<float>(scale) * number(lows + (n + i) * low.stride(0) + r) : 0;
                }
            }
            add_rows(rows, width, factors.data(), whole, sums.data() + part * size);
        }
    });
    return added(sums, parts, ranks, width, dy.scalar_type()).t();
}

template <typename Number>
at::Tensor inputs_for(const at::Tensor &x, const at::Tensor &a) {
    const int64_t ranks = a.size(0), width = x.size(1);
    const auto as = wide(a);
    auto low = at::empty({x.size(0), ranks}, x.options());
    const Number *in = x.const_data_ptr<Number>();
    Number *out = low.mutable_data_ptr<Number>();
    in_parts(x.size(0), [&](int64_t, int64_t first, int64_t last) {
        for (int64_t n = first; n < last; n += kGroup) {
            const Number *rows[kGroup];
            four(in, x.stride(0), n, last, rows);
            inputs_of(rows, std::min(kGroup, last - n), width, as.data(), ranks, out + n * ranks, ranks);
        }
    });
    return low;
}

}  // namespace

bool takes(const at::Tensor &x, int64_t ranks) {
    const auto dtype = x.scalar_type();
    return uses(Kernel::low_rank) && x.is_cpu() && (dtype == at::kFloat || dtype == at::kBFloat16) && x.dim() == 2 && x.stride(1) == 1 &&
           x.size(0) > 0 && x.size(1) > 0 && x.size(1) % W == 0 && ranks > 0 && ranks <= kMostRanks;
}

at::Tensor inputs(const at::Tensor &x, const at::Tensor &a) {
    count(Kernel::low_rank);
    return x.scalar_type() == at::kFloat ? inputs_for<float>(x, a) : inputs_for<at::BFloat16>(x, a);
}

at::Tensor back(const at::Tensor &dy, const at::Tensor &b, const at::Tensor &low, double scale, const at::Tensor &dlow) {
    count(Kernel::low_rank);
    return dy.scalar_type() == at::kFloat ? back_of<float>(dy, b, low, scale, dlow) : back_of<at::BFloat16>(dy, b, low, scale, dlow);
}

at::Tensor gathered(const at::Tensor &dlow, const at::Tensor &x) {
    count(Kernel::low_rank);
    return x.scalar_type() == at::kFloat ? gathered_of<float>(dlow, x) : gathered_of<at::BFloat16>(dlow, x);
}

#else

bool takes(const at::Tensor &, int64_t) { return false; }
at::Tensor inputs(const at::Tensor &x, const at::Tensor &a) { return x.matmul(a.t()); }
at::Tensor back(const at::Tensor &dy, const at::Tensor &b, const at::Tensor &low, double scale, const at::Tensor &dlow) {
    dlow.copy_(dy.matmul(b)).mul_(scale);
    return dy.t().matmul(low).mul_(scale);
}
at::Tensor gathered(const at::Tensor &dlow, const at::Tensor &x) { return dlow.t().matmul(x); }

#endif

}  // namespace shim::low_rank
