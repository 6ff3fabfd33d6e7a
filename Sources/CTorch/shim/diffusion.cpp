// What a diffusion UNet needs beyond libtorch's layers: fused norms and gates, and 3x3 convolutions by Winograd's method.
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>

#include "kernels.h"
#include "protect.h"

using namespace shim;

// The loops below are written for the vectoriser; x86 gets one clone for each instruction set, chosen when the library loads.
#if defined(__x86_64__) && defined(__GNUC__)
#define CT_VECTORISED __attribute__((target_clones("avx512f", "avx2,fma", "default"), optimize("O3", "no-trapping-math")))
#else
#define CT_VECTORISED
#endif

namespace {

bool records_gradients(const at::Tensor &x) { return at::GradMode::is_enabled() && x.requires_grad(); }

// Elements that one pass over rows handles: they stay in the second-level cache between its steps.
constexpr int64_t kBlock = 32 * 1024;

// ---- the gate of a feed-forward --------------------------------------------------------------------------------

/// y = a · gelu(g), with erf by Abramowitz & Stegun 7.1.26: within 1.5e-7 of 1.
CT_VECTORISED void gate(const float *a, const float *g, int64_t count, float *y) {
    for (int64_t i = 0; i < count; i++) {
        const float x = g[i], z = (x < 0 ? -x : x) * 0.70710678f;
        const float t = 1 / (1 + 0.3275911f * z);
        const float p = t * (0.254829592f + t * (-0.284496736f + t * (1.421413741f + t * (-1.453152027f + t * 1.061405429f))));
        // e^(-z²) as a power of two: adding 1.5 · 2^23 leaves the whole part in the last bits.
        const float raw = z * z * -1.44269504f, power = raw < -126 ? -126 : raw;
        const float shifted = power + 12582912.0f, f = power - (shifted - 12582912.0f);
        const float e = 1 + f * (6.931472028550421e-1f +
                                 f * (2.402264791363012e-1f +
                                      f * (5.550332471162809e-2f +
                                           f * (9.618437357674640e-3f + f * (1.339887440266574e-3f + f * 1.535336188319500e-4f)))));
        const int32_t exponent = (__builtin_bit_cast(int32_t, shifted) - 0x4B400000 + 127) << 23;
        const float tail = 0.5f * p * e * __builtin_bit_cast(float, exponent);  // (1 - erf(z)) / 2
        y[i] = a[i] * (x * (x < 0 ? tail : 1 - tail));
    }
}

// ---- group norm with what surrounds it -------------------------------------------------------------------------

/// Adds the sums and square sums of `rows` rows of `channels` values, each less its channel's `pivot`, to `sums`: squares of
/// what is near a channel's mean lose no digits.
CT_VECTORISED void accumulate(const float *x, const float *pivot, int64_t rows, int64_t channels, float *sums) {
    float *squares = sums + channels;
    for (int64_t row = 0; row < rows; row++, x += channels) {
        for (int64_t c = 0; c < channels; c++) {
            const float value = x[c] - pivot[c];
            sums[c] += value;
            squares[c] += value * value;
        }
    }
}

CT_VECTORISED void scale_shift(const float *x, int64_t rows, int64_t channels, const float *scale, const float *shift, float *y) {
    for (int64_t row = 0; row < rows; row++, x += channels, y += channels) {
        for (int64_t c = 0; c < channels; c++) y[c] = x[c] * scale[c] + shift[c];
    }
}

/// Group norm over `[B, C, H, W]` whose channels lie last in memory, in float32; see `ct_group_norm_silu`.
at::Tensor group_norm_channels_last(const at::Tensor &x, const float *added, int64_t added_stride, int64_t groups,
                                    const float *weight, const float *bias, double eps, bool silu) {
    const int64_t batch = x.size(0), channels = x.size(1), positions = x.size(2) * x.size(3);
    const int64_t rows = std::max<int64_t>(1, kBlock / channels), blocks = (positions + rows - 1) / rows;
    auto y = at::empty_like(x);
    const float *in = x.const_data_ptr<float>();
    float *out = y.mutable_data_ptr<float>();
    // Sums within a block are float32, those of the blocks double.
    std::vector<float> partial(static_cast<size_t>(batch * blocks * 2 * channels), 0.0f);
    at::parallel_for(0, batch * blocks, 1, [&](int64_t first, int64_t last) {
        for (int64_t i = first; i < last; i++) {
            const int64_t b = i / blocks, start = (i % blocks) * rows, count = std::min(rows, positions - start);
            accumulate(in + (b * positions + start) * channels, in + b * positions * channels, count, channels,
                       partial.data() + i * 2 * channels);
        }
    });
    std::vector<float> scale(static_cast<size_t>(batch * channels)), shift(static_cast<size_t>(batch * channels));
    const int64_t width = channels / groups;
    for (int64_t b = 0; b < batch; b++) {
        for (int64_t g = 0; g < groups; g++) {
            const double each = static_cast<double>(positions), count = each * static_cast<double>(width);
            double sum = 0, square = 0;
            for (int64_t c = g * width; c < (g + 1) * width; c++) {
                double own = 0, own_square = 0;
                for (int64_t block = 0; block < blocks; block++) {
                    const float *sums = partial.data() + (b * blocks + block) * 2 * channels;
                    own += sums[c];
                    own_square += sums[channels + c];
                }
                double pivot = in[b * positions * channels + c];
                if (added != nullptr) pivot += added[b * added_stride + c];
                sum += own + each * pivot;
                square += own_square + 2 * pivot * own + each * pivot * pivot;
            }
            const double mean = sum / count;
            const double inverse = 1 / std::sqrt(std::max(square / count - mean * mean, 0.0) + eps);
            for (int64_t c = g * width; c < (g + 1) * width; c++) {
                const double factor = weight[c] * inverse, offset = added == nullptr ? 0.0 : added[b * added_stride + c];
                scale[static_cast<size_t>(b * channels + c)] = static_cast<float>(factor);
                shift[static_cast<size_t>(b * channels + c)] = static_cast<float>(bias[c] + (offset - mean) * factor);
            }
        }
    }
    auto flat = y.permute({0, 2, 3, 1}).view({-1});
    at::parallel_for(0, batch * blocks, 1, [&](int64_t first, int64_t last) {
        c10::InferenceMode inference(y.is_inference());
        at::NoGradGuard guard;
        for (int64_t i = first; i < last; i++) {
            const int64_t b = i / blocks, start = (i % blocks) * rows, count = std::min(rows, positions - start);
            const int64_t begin = (b * positions + start) * channels;
            scale_shift(in + begin, count, channels, scale.data() + b * channels, shift.data() + b * channels, out + begin);
            if (silu) {
                auto part = flat.slice(0, begin, begin + count * channels);
                at::silu_(part);
            }
        }
    });
    return y;
}

// ---- Winograd's convolution ------------------------------------------------------------------------------------
//
// A 3x3 convolution of m x m outputs at a time over tiles of t = m + 2 (Lavin & Gray 2016): tiles and filters are transformed,
// multiplied channel by channel as t² matrix products, and transformed back. m = 2 needs 16 products for 36, m = 4 36 for 144.

// Channels that one step of a transform handles.
constexpr int64_t kLanes = 16;

template <int M>
struct Winograd;

template <>
struct Winograd<2> {
    static constexpr int tile = 4;
    static constexpr double filter[4][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};

    static inline void input(const float *d, int64_t step, float *out, int64_t out_step) {
        for (int64_t i = 0; i < kLanes; i++) {
            const float a = d[i], b = d[step + i], c = d[2 * step + i], e = d[3 * step + i];
            out[i] = a - c;
            out[out_step + i] = b + c;
            out[2 * out_step + i] = c - b;
            out[3 * out_step + i] = b - e;
        }
    }

    static inline void output(const float *d, int64_t step, float *out, int64_t out_step) {
        for (int64_t i = 0; i < kLanes; i++) {
            const float a = d[i], b = d[step + i], c = d[2 * step + i], e = d[3 * step + i];
            out[i] = a + b + c;
            out[out_step + i] = b - c - e;
        }
    }
};

template <>
struct Winograd<4> {
    static constexpr int tile = 6;
    static constexpr double filter[6][3] = {{1. / 4, 0, 0},           {-1. / 6, -1. / 6, -1. / 6}, {-1. / 6, 1. / 6, -1. / 6},
                                            {1. / 24, 1. / 12, 1. / 6}, {1. / 24, -1. / 12, 1. / 6}, {0, 0, 1}};

    static inline void input(const float *d, int64_t step, float *out, int64_t out_step) {
        for (int64_t i = 0; i < kLanes; i++) {
            const float a = d[i], b = d[step + i], c = d[2 * step + i], e = d[3 * step + i], f = d[4 * step + i],
                        g = d[5 * step + i];
            const float even = f - 4 * c, odd = e - 4 * b, near = f - c, far = 2 * (e - b);
            out[i] = 4 * a - 5 * c + f;
            out[out_step + i] = even + odd;
            out[2 * out_step + i] = even - odd;
            out[3 * out_step + i] = near + far;
            out[4 * out_step + i] = near - far;
            out[5 * out_step + i] = 4 * b - 5 * e + g;
        }
    }

    static inline void output(const float *d, int64_t step, float *out, int64_t out_step) {
        for (int64_t i = 0; i < kLanes; i++) {
            const float a = d[i], b = d[step + i], c = d[2 * step + i], e = d[3 * step + i], f = d[4 * step + i],
                        g = d[5 * step + i];
            const float s = b + c, t = b - c, u = e + f, v = e - f;
            out[i] = a + s + u;
            out[out_step + i] = t + 2 * v;
            out[2 * out_step + i] = s + 4 * u;
            out[3 * out_step + i] = t + 8 * v + g;
        }
    }
};

/// Sizes of one convolution: tiles are counted over the whole batch, row by row.
struct Tiling {
    int64_t height, width, rows, columns;

    void place(int64_t tile, int m, int64_t &b, int64_t &y, int64_t &x) const {
        b = tile / (rows * columns);
        const int64_t rest = tile % (rows * columns);
        y = rest / columns * m;
        x = rest % columns * m;
    }
};

/// Tiles `[first, last)` of `x` `[B, H, W, C]`, transformed into `v` `[t², tiles of the chunk, C]`; C a multiple of kLanes.
template <int M>
CT_VECTORISED void transform_input(const float *x, const Tiling &tiling, int64_t channels, int64_t first, int64_t last,
                                   int64_t chunk_first, int64_t plane, float *v) {
    constexpr int T = Winograd<M>::tile;
    alignas(64) float zeros[kLanes] = {};
    alignas(64) float patch[T][T][kLanes], half[T][T][kLanes];
    for (int64_t index = first; index < last; index++) {
        int64_t b, top, left;
        tiling.place(index, M, b, top, left);
        for (int64_t c = 0; c < channels; c += kLanes) {
            for (int r = 0; r < T; r++) {
                const int64_t y = top + r - 1;
                for (int s = 0; s < T; s++) {
                    const int64_t at = left + s - 1;
                    const bool inside = y >= 0 && y < tiling.height && at >= 0 && at < tiling.width;
                    const float *from = inside ? x + ((b * tiling.height + y) * tiling.width + at) * channels + c : zeros;
                    for (int64_t i = 0; i < kLanes; i++) patch[r][s][i] = from[i];
                }
            }
            for (int s = 0; s < T; s++) Winograd<M>::input(&patch[0][s][0], T * kLanes, &half[0][s][0], T * kLanes);
            float *to = v + (index - chunk_first) * channels + c;
            for (int r = 0; r < T; r++) Winograd<M>::input(&half[r][0][0], kLanes, to + r * T * plane, plane);
        }
    }
}

/// Products `p` `[t², tiles of the chunk, O]` back to pictures `y` `[B, H, W, O]`, plus bias and, where given, `other`.
template <int M>
CT_VECTORISED void transform_output(const float *p, const Tiling &tiling, int64_t channels, int64_t first, int64_t last,
                                    int64_t chunk_first, int64_t plane, const float *bias, const float *other, float *y) {
    constexpr int T = Winograd<M>::tile;
    alignas(64) float half[M][T][kLanes], done[M][M][kLanes];
    for (int64_t index = first; index < last; index++) {
        int64_t b, top, left;
        tiling.place(index, M, b, top, left);
        for (int64_t c = 0; c < channels; c += kLanes) {
            const float *from = p + (index - chunk_first) * channels + c;
            for (int s = 0; s < T; s++) Winograd<M>::output(from + s * plane, T * plane, &half[0][s][0], T * kLanes);
            for (int r = 0; r < M; r++) Winograd<M>::output(&half[r][0][0], kLanes, &done[r][0][0], kLanes);
            for (int r = 0; r < M && top + r < tiling.height; r++) {
                for (int s = 0; s < M && left + s < tiling.width; s++) {
                    const int64_t at = ((b * tiling.height + top + r) * tiling.width + left + s) * channels + c;
                    if (other != nullptr) {
                        for (int64_t i = 0; i < kLanes; i++) y[at + i] = done[r][s][i] + bias[c + i] + other[at + i];
                    } else {
                        for (int64_t i = 0; i < kLanes; i++) y[at + i] = done[r][s][i] + bias[c + i];
                    }
                }
            }
        }
    }
}

/// Filters `[O, I, 3, 3]` of kLanes outputs from `first` on, transformed in double: kLanes numbers for each of t² places and each
/// input, `plane` and `row` numbers apart.
template <int M>
CT_VECTORISED void transform_filters(const float *weight, int64_t inputs, int64_t first, int64_t plane, int64_t row, float *out) {
    constexpr int T = Winograd<M>::tile;
    alignas(64) double g[3][3][kLanes], half[T][3][kLanes];
    for (int64_t c = 0; c < inputs; c++, out += row) {
        for (int64_t i = 0; i < kLanes; i++) {
            const float *filter = weight + ((first + i) * inputs + c) * 9;
            for (int k = 0; k < 9; k++) g[k / 3][k % 3][i] = filter[k];
        }
        for (int r = 0; r < T; r++) {
            const double *f = Winograd<M>::filter[r];
            for (int s = 0; s < 3; s++)
                for (int64_t i = 0; i < kLanes; i++) half[r][s][i] = f[0] * g[0][s][i] + f[1] * g[1][s][i] + f[2] * g[2][s][i];
        }
        for (int r = 0; r < T; r++) {
            for (int s = 0; s < T; s++) {
                const double *f = Winograd<M>::filter[s];
                float *to = out + (r * T + s) * plane;
                for (int64_t i = 0; i < kLanes; i++)
                    to[i] = static_cast<float>(f[0] * half[r][0][i] + f[1] * half[r][1][i] + f[2] * half[r][2][i]);
            }
        }
    }
}

/// Transformed filters, `[t², I, O]`.
template <int M>
at::Tensor winograd_filter(const at::Tensor &weight) {
    constexpr int T = Winograd<M>::tile;
    const int64_t outputs = weight.size(0), inputs = weight.size(1);
    auto packed = at::empty({T * T, inputs, outputs}, at::kFloat);
    auto dense = weight.to(at::kFloat).contiguous();
    const float *from = dense.const_data_ptr<float>();
    float *to = packed.mutable_data_ptr<float>();
    at::parallel_for(0, outputs / kLanes, 1, [&](int64_t first, int64_t last) {
        for (int64_t i = first; i < last; i++) {
            transform_filters<M>(from, inputs, i * kLanes, inputs * outputs, outputs, to + i * kLanes);
        }
    });
    return packed;
}

template <int M>
at::Tensor winograd_convolution(const at::Tensor &x, const at::Tensor &packed, const at::Tensor &bias, const float *other) {
    constexpr int T = Winograd<M>::tile;
    const int64_t batch = x.size(0), inputs = x.size(1), outputs = packed.size(2);
    const Tiling tiling{x.size(2), x.size(3), (x.size(2) + M - 1) / M, (x.size(3) + M - 1) / M};
    const int64_t tiles = batch * tiling.rows * tiling.columns;
    // Transformed tiles and products of one chunk fit the last-level cache; fewer rows would starve the products.
    const int64_t wanted = std::max<int64_t>(192, (6 << 20) / (T * T * (inputs + outputs)));
    const int64_t chunks = std::max<int64_t>(1, (tiles + wanted / 2) / wanted), step = (tiles + chunks - 1) / chunks;
    auto y = at::empty({batch, outputs, tiling.height, tiling.width}, x.options(), at::MemoryFormat::ChannelsLast);
    auto v = at::empty({T * T, step, inputs}, x.options()), p = at::empty({T * T, step, outputs}, x.options());
    const float *in = x.const_data_ptr<float>(), *add = bias.const_data_ptr<float>();
    float *out = y.mutable_data_ptr<float>();
    for (int64_t start = 0; start < tiles; start += step) {
        const int64_t count = std::min(step, tiles - start);
        auto vs = v.view({-1}).narrow(0, 0, T * T * count * inputs).view({T * T, count, inputs});
        auto ps = p.view({-1}).narrow(0, 0, T * T * count * outputs).view({T * T, count, outputs});
        at::parallel_for(start, start + count, 8, [&](int64_t first, int64_t last) {
            transform_input<M>(in, tiling, inputs, first, last, start, count * inputs, vs.mutable_data_ptr<float>());
        });
        at::bmm_out(ps, vs, packed);
        at::parallel_for(start, start + count, 8, [&](int64_t first, int64_t last) {
            transform_output<M>(ps.const_data_ptr<float>(), tiling, outputs, first, last, start, count * outputs, add, other, out);
        });
    }
    return y;
}

}  // namespace

extern "C" {

CTStatus ct_upsample_nearest2d_to(CTTensor x, int64_t height, int64_t width, CTTensor *out) {
    return protect([&] { give(out, at::upsample_nearest2d(get(x), {height, width})); });
}

CTStatus ct_gated_gelu(CTTensor x, CTTensor *out) {
    return protect([&] {
        auto &in = get(x);
        if (!uses(Kernel::gated_gelu) || records_gradients(in) || !in.is_cpu() || !in.is_contiguous() || in.scalar_type() != at::kFloat || in.numel() == 0) {
            auto halves = in.chunk(2, -1);
            give(out, halves[0] * at::gelu(halves[1]));
            return;
        }
        const int64_t width = in.size(-1) / 2;
        TORCH_CHECK(in.size(-1) == 2 * width, "a gate needs two halves, got ", in.size(-1), " channels");
        auto shape = in.sizes().vec();
        shape.back() = width;
        auto y = at::empty(shape, in.options());
        count(Kernel::gated_gelu);
        const float *from = in.const_data_ptr<float>();
        float *to = y.mutable_data_ptr<float>();
        at::parallel_for(0, y.numel() / width, std::max<int64_t>(1, kBlock / width), [&](int64_t first, int64_t last) {
            for (int64_t row = first; row < last; row++) gate(from + 2 * row * width, from + (2 * row + 1) * width, width, to + row * width);
        });
        give(out, y);
    });
}

CTStatus ct_group_norm_silu(CTTensor x, CTTensor added, int64_t groups, CTTensor weight, CTTensor bias, double eps, bool silu,
                            CTTensor *out) {
    return protect([&] {
        auto &in = get(x);
        auto more = optional(added);
        auto scale = widened(get(weight), in), shift = widened(get(bias), in);
        const bool is_plain = uses(Kernel::group_norm) && in.is_cpu() && in.scalar_type() == at::kFloat && in.dim() == 4 && !records_gradients(in) &&
                              in.is_contiguous(at::MemoryFormat::ChannelsLast) && scale.scalar_type() == at::kFloat &&
                              scale.is_contiguous() && shift.is_contiguous() && in.size(1) % groups == 0 &&
                              !(at::GradMode::is_enabled() && (scale.requires_grad() || (more && more->requires_grad())));
        if (!is_plain || (more && (more->scalar_type() != at::kFloat || !more->is_contiguous()))) {
            auto sum = more ? in + more->unsqueeze(-1).unsqueeze(-1) : in;
            auto y = at::group_norm(sum, groups, scale, shift, eps);
            give(out, silu ? at::silu(y) : y);
            return;
        }
        count(Kernel::group_norm);
        const int64_t stride = more && more->size(0) > 1 ? more->size(1) : 0;
        give(out, group_norm_channels_last(in, more ? more->const_data_ptr<float>() : nullptr, stride, groups,
                                           scale.const_data_ptr<float>(), shift.const_data_ptr<float>(), eps, silu));
    });
}

CTStatus ct_winograd_pack(CTTensor weight, int32_t outputs, CTTensor *out) {
    return protect([&] {
        at::NoGradGuard guard;
        auto &w = get(weight);
        TORCH_CHECK(w.dim() == 4 && w.size(2) == 3 && w.size(3) == 3, "Winograd's convolution has 3x3 filters, got ", w.sizes());
        TORCH_CHECK(w.size(0) % kLanes == 0 && w.size(1) % kLanes == 0, "channels must be multiples of ", kLanes);
        TORCH_CHECK(outputs == 2 || outputs == 4, "tiles of 2 or 4 outputs, got ", outputs);
        give(out, outputs == 2 ? winograd_filter<2>(w) : winograd_filter<4>(w));
    });
}

CTStatus ct_winograd_conv2d(CTTensor x, CTTensor packed, CTTensor bias, CTTensor other, CTTensor *out) {
    return protect([&] {
        at::NoGradGuard guard;
        auto in = get(x).contiguous(at::MemoryFormat::ChannelsLast);
        auto &filters = get(packed);
        TORCH_CHECK(in.scalar_type() == at::kFloat && in.is_cpu(), "Winograd's convolution computes in float32 on the CPU");
        TORCH_CHECK(in.size(1) == filters.size(1), in.size(1), " channels for filters of ", filters.size(1));
        count(Kernel::winograd);
        auto more = optional(other);
        if (more) more = more->contiguous(at::MemoryFormat::ChannelsLast);
        const float *add = more ? more->const_data_ptr<float>() : nullptr;
        give(out, filters.size(0) == 16 ? winograd_convolution<2>(in, filters, get(bias), add)
                                        : winograd_convolution<4>(in, filters, get(bias), add));
    });
}

}  // extern "C"
