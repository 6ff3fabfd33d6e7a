// What language models do at every token: the likeliest tokens of a row, attention to cached keys, and the training loss.
#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <limits>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "frozen.h"
#include "kernels.h"
#include "protect.h"

using namespace shim;

namespace {

#if defined(__x86_64__)
#define SHIM_AVX2 __attribute__((target("avx2,fma")))

SHIM_AVX2 inline float total(__m256 v) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}

/// e^x of eight numbers up to 0 (Cephes' polynomial): a relative error of 2e-7, and 0 below -87.
SHIM_AVX2 inline __m256 exponential(__m256 x) {
    x = _mm256_max_ps(x, _mm256_set1_ps(-87.3f));
    __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504088896341f)),
                               _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    x = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), x);
    x = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), x);
    __m256 p = _mm256_set1_ps(1.9875691500e-4f);
    for (float c : {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f}) {
        p = _mm256_fmadd_ps(p, x, _mm256_set1_ps(c));
    }
    p = _mm256_add_ps(_mm256_fmadd_ps(p, _mm256_mul_ps(x, x), x), _mm256_set1_ps(1));
    __m256i power = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return _mm256_mul_ps(p, _mm256_castsi256_ps(power));
}

/// log Σ e^v and the `count` largest of a row, in descending order, the smaller id among equals.
SHIM_AVX2 void row_best(const float *v, int64_t n, int64_t count, const uint8_t *excluded, float *values, int64_t *ids) {
    __m256 highs = _mm256_set1_ps(-std::numeric_limits<float>::infinity());
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) highs = _mm256_max_ps(highs, _mm256_loadu_ps(v + i));
    float lanes[8];
    _mm256_storeu_ps(lanes, highs);
    float high = *std::max_element(lanes, lanes + 8);
    for (; i < n; i++) high = std::max(high, v[i]);

    const __m256 shift = _mm256_set1_ps(high);
    double sum = 0;
    int64_t found = 0;
    float least = -std::numeric_limits<float>::infinity();
    auto offer = [&](int64_t id) {
        if (excluded && excluded[id]) return;
        float value = v[id];
        if (found == count && !(value > least)) return;
        auto place = found < count ? found++ : count - 1;
        for (; place > 0 && values[place - 1] < value; place--) {
            values[place] = values[place - 1];
            ids[place] = ids[place - 1];
        }
        values[place] = value;
        ids[place] = id;
        if (found == count) least = values[count - 1];
    };
    i = 0;
    while (i + 8 <= n) {
        // Partial sums in float32 over stretches, then in double: as accurate as libtorch's.
        __m256 part = _mm256_setzero_ps();
        const int64_t end = std::min(n, i + 1024);
        for (; i + 8 <= end; i += 8) {
            __m256 x = _mm256_loadu_ps(v + i);
            part = _mm256_add_ps(part, exponential(_mm256_sub_ps(x, shift)));
            if (found < count || _mm256_movemask_ps(_mm256_cmp_ps(x, _mm256_set1_ps(least), _CMP_GT_OQ))) {
                for (int64_t j = i; j < i + 8; j++) offer(j);
            }
        }
        sum += total(part);
    }
    for (; i < n; i++) {
        sum += std::exp(v[i] - high);
        offer(i);
    }
    const float norm = static_cast<float>(std::log(sum));
    for (int64_t j = 0; j < found; j++) values[j] = (values[j] - high) - norm;
}

/// One row's attention over `length` positions whose keys begin at `keys[s]`, their values `width` = heads · d behind.
/// `weights` is room for heads · padded floats, padded = length rounded up to 8.
SHIM_AVX2 void attend_row(const float *query, const float *const *keys, const bool *mask, int64_t length, int64_t heads,
                          int64_t d, float scale, float *weights, float *out) {
    const auto width = heads * d, padded = (length + 7) / 8 * 8;
    constexpr float kNever = -std::numeric_limits<float>::infinity();
    for (int64_t s = 0; s < length; s++) {
        if (mask && !mask[s]) {
            for (int64_t h = 0; h < heads; h++) weights[h * padded + s] = kNever;
            continue;
        }
        for (int64_t h = 0; h < heads; h++) {
            const float *q = query + h * d, *k = keys[s] + h * d;
            __m256 sums = _mm256_setzero_ps();
            int64_t i = 0;
            for (; i + 8 <= d; i += 8) sums = _mm256_fmadd_ps(_mm256_loadu_ps(q + i), _mm256_loadu_ps(k + i), sums);
            float sum = total(sums);
            for (; i < d; i++) sum += q[i] * k[i];
            weights[h * padded + s] = sum * scale;
        }
    }
    for (int64_t h = 0; h < heads; h++) {
        float *w = weights + h * padded;
        for (auto s = length; s < padded; s++) w[s] = kNever;
        const float high = *std::max_element(w, w + length);
        __m256 sums = _mm256_setzero_ps();
        for (int64_t s = 0; s < padded; s += 8) {
            __m256 x = _mm256_loadu_ps(w + s);
            __m256 e = exponential(_mm256_sub_ps(x, _mm256_set1_ps(high)));
            e = _mm256_and_ps(e, _mm256_cmp_ps(x, _mm256_set1_ps(kNever), _CMP_NEQ_UQ));  // what is masked weighs nothing
            _mm256_storeu_ps(w + s, e);
            sums = _mm256_add_ps(sums, e);
        }
        const __m256 factor = _mm256_set1_ps(1 / total(sums));
        for (int64_t s = 0; s < padded; s += 8) _mm256_storeu_ps(w + s, _mm256_mul_ps(_mm256_loadu_ps(w + s), factor));
    }
    std::fill(out, out + width, 0.0f);
    for (int64_t s = 0; s < length; s++) {
        if (mask && !mask[s]) continue;
        for (int64_t h = 0; h < heads; h++) {
            const float *v = keys[s] + width + h * d;
            const float weight = weights[h * padded + s];
            float *y = out + h * d;
            int64_t i = 0;
            for (; i + 8 <= d; i += 8) {
                _mm256_storeu_ps(y + i, _mm256_fmadd_ps(_mm256_set1_ps(weight), _mm256_loadu_ps(v + i), _mm256_loadu_ps(y + i)));
            }
            for (; i < d; i++) y[i] += weight * v[i];
        }
    }
}

/// -log softmax(v)[target] of a row of logits, which become `scale` times its gradient when that is wanted.
SHIM_AVX2 double row_loss(float *v, int64_t n, int64_t target, double scale, bool wants_gradient) {
    const float wanted = v[target];
    __m256 highs = _mm256_set1_ps(-std::numeric_limits<float>::infinity()), unordered = _mm256_setzero_ps();
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 x = _mm256_loadu_ps(v + i);
        highs = _mm256_max_ps(highs, x);
        unordered = _mm256_or_ps(unordered, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    }
    float lanes[8];
    _mm256_storeu_ps(lanes, highs);
    float high = *std::max_element(lanes, lanes + 8);
    bool is_valid = _mm256_movemask_ps(unordered) == 0;
    for (; i < n; i++) {
        high = std::max(high, v[i]);
        is_valid &= v[i] == v[i];
    }
    if (!is_valid || !std::isfinite(high)) {
        // As libtorch's: one bad logit spoils its row.
        if (wants_gradient) std::fill(v, v + n, std::numeric_limits<float>::quiet_NaN());
        return std::numeric_limits<double>::quiet_NaN();
    }
    const __m256 shift = _mm256_set1_ps(high);
    double sum = 0;
    for (i = 0; i + 8 <= n;) {
        // Partial sums in float32 over stretches, then in double.
        __m256 part = _mm256_setzero_ps();
        const int64_t end = std::min(n, i + 1024);
        for (; i + 8 <= end; i += 8) {
            __m256 e = exponential(_mm256_sub_ps(_mm256_loadu_ps(v + i), shift));
            part = _mm256_add_ps(part, e);
            if (wants_gradient) _mm256_storeu_ps(v + i, e);
        }
        sum += total(part);
    }
    for (; i < n; i++) {
        const float e = std::exp(v[i] - high);
        sum += e;
        if (wants_gradient) v[i] = e;
    }
    if (wants_gradient) {
        const float factor = static_cast<float>(scale / sum);
        const __m256 factors = _mm256_set1_ps(factor);
        for (i = 0; i + 8 <= n; i += 8) _mm256_storeu_ps(v + i, _mm256_mul_ps(_mm256_loadu_ps(v + i), factors));
        for (; i < n; i++) v[i] *= factor;
        v[target] -= static_cast<float>(scale);
    }
    return std::log(sum) + high - wanted;
}
#endif

/// Mean cross entropy of x·Wᵀ, in pieces of rows: logits and their gradient share one buffer that is used again.
struct LinearCrossEntropy : torch::autograd::Function<LinearCrossEntropy> {
    static at::Tensor forward(torch::autograd::AutogradContext *context, const at::Tensor &x, const at::Tensor &weight,
                              const at::Tensor &targets, int64_t piece, bool records) {
        auto count = x.size(0);
        bool x_grad = records && x.requires_grad(), weight_grad = records && weight.requires_grad();
#if defined(__x86_64__)
        if (uses(Kernel::cross_entropy) && is_dense(x) && is_dense(weight) && count > 0) {
            return fused(context, x, weight, targets, piece, x_grad, weight_grad);
        }
#endif
        auto dx = x_grad ? at::empty_like(x) : at::Tensor();
        auto dweight = weight_grad ? at::zeros_like(weight) : at::Tensor();
        auto loss = at::zeros({}, x.options().dtype(at::kDouble));
        for (int64_t first = 0; first < count; first += piece) {
            auto rows = std::min(piece, count - first);
            auto part = x.narrow(0, first, rows);
            auto wanted = targets.narrow(0, first, rows).unsqueeze(1);          // [rows, 1]
            auto scores = part.matmul(weight.t()).to(at::kFloat);               // [rows, V]
            auto chosen = scores.gather(1, wanted);                             // [rows, 1]
            auto norm = at::logsumexp(scores, {1}, true);                       // [rows, 1]
            loss.add_((norm - chosen).sum(at::kDouble));
            if (!x_grad && !weight_grad) continue;
            auto d = scores.sub_(norm).exp_().scatter_add_(1, wanted, at::full_like(chosen, -1)).mul_(1.0 / count).to(x.scalar_type());
            if (x_grad) dx.narrow(0, first, rows).copy_(d.matmul(weight));
            if (weight_grad) dweight.addmm_(d.t(), part);
        }
        context->save_for_backward({dx, dweight});
        return loss.div_(count).to(at::kFloat);
    }

#if defined(__x86_64__)
    static bool is_dense(const at::Tensor &t) {
        return t.device().is_cpu() && t.scalar_type() == at::kFloat && t.is_contiguous();
    }

    /// The same with a pass less over the logits per operation.
    static at::Tensor fused(torch::autograd::AutogradContext *context, const at::Tensor &x, const at::Tensor &weight,
                            const at::Tensor &targets, int64_t piece, bool x_grad, bool weight_grad) {
        const auto count = x.size(0), n = weight.size(0);
        // Equal pieces, since each costs a pass over the weight's gradient.
        const auto pieces = (count + piece - 1) / piece;
        piece = (count + pieces - 1) / pieces;
        auto dx = x_grad ? at::empty_like(x) : at::Tensor();
        auto dweight = weight_grad ? at::empty_like(weight) : at::Tensor();
        auto buffer = at::empty({piece, n}, x.options());
        auto wanted = targets.contiguous();
        const auto *ids = wanted.const_data_ptr<int64_t>();
        for (int64_t i = 0; i < count; i++) {
            TORCH_CHECK(ids[i] >= 0 && ids[i] < n, "target ", ids[i], " is out of bounds of ", n, " classes");
        }
        auto *scores = buffer.mutable_data_ptr<float>();
        shim::count(Kernel::cross_entropy);
        std::vector<double> losses(count);
        for (int64_t first = 0; first < count; first += piece) {
            const auto rows = std::min(piece, count - first);
            const auto part = x.narrow(0, first, rows);
            auto logits = buffer.narrow(0, 0, rows);
            at::mm_out(logits, part, weight.t());
            at::parallel_for(0, rows, 1, [&](int64_t begin, int64_t end) {
                for (auto row = begin; row < end; row++) {
                    losses[first + row] =
                        row_loss(scores + row * n, n, ids[first + row], 1.0 / count, x_grad || weight_grad);
                }
            });
            if (x_grad) {
                auto own = dx.narrow(0, first, rows);
                at::mm_out(own, logits, weight);
            }
            if (weight_grad) {
                if (first == 0) at::mm_out(dweight, logits.t(), part);
                else dweight.addmm_(logits.t(), part);
            }
        }
        context->save_for_backward({dx, dweight});
        double sum = 0;
        for (auto loss : losses) sum += loss;
        return at::full({}, sum / count, x.options());
    }
#endif

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context,
                                                   torch::autograd::variable_list gradients) {
        auto saved = context->get_saved_variables();
        torch::autograd::variable_list result(5);
        // The loss is most often what backward begins with, and its gradient 1.
        bool is_one = gradients[0].device().is_cpu() && gradients[0].item<double>() == 1;
        for (int i = 0; i < 2; i++) {
            if (saved[i].defined()) result[i] = is_one ? saved[i] : saved[i] * gradients[0].to(saved[i].scalar_type());
        }
        return result;
    }
};

}  // namespace

extern "C" {

CTStatus ct_best_tokens(CTTensor logits, int64_t count, const int64_t *excluded, int64_t excluded_count, CTTensor *values,
                        CTTensor *ids) {
    return protect([&] {
        const auto &x = get(logits);
        auto rows = x.size(0), n = x.size(1);
        for (int64_t i = 0; i < excluded_count; i++) {
            TORCH_CHECK(excluded[i] >= 0 && excluded[i] < n, "excluded token ", excluded[i], " of ", n);
        }
        TORCH_CHECK(count >= 1 && count <= n - excluded_count, count, " tokens of ", n - excluded_count);
#if defined(__x86_64__)
        if (uses(Kernel::best_tokens) && is_plain(x)) {
            shim::count(Kernel::best_tokens);
            auto best = at::empty({rows, count}, x.options());
            auto places = at::empty({rows, count}, x.options().dtype(at::kLong));
            std::vector<uint8_t> marks(excluded_count > 0 ? n : 0);
            for (int64_t i = 0; i < excluded_count; i++) marks[excluded[i]] = 1;
            const auto *xs = x.const_data_ptr<float>();
            auto *vs = best.mutable_data_ptr<float>();
            auto *is = places.mutable_data_ptr<int64_t>();
            at::parallel_for(0, rows, 1, [&](int64_t first, int64_t last) {
                for (auto row = first; row < last; row++) {
                    row_best(xs + row * n, n, count, marks.empty() ? nullptr : marks.data(), vs + row * count,
                             is + row * count);
                }
            });
            give(values, best);
            give(ids, places);
            return;
        }
#endif
        // Ids that may be chosen, in order; of equal logits a stable sort keeps the smaller id first, which topk does not promise.
        auto mark = at::ones({n}, x.options().dtype(at::kBool));
        for (int64_t i = 0; i < excluded_count; i++) mark[excluded[i]].fill_(false);
        auto allowed = mark.nonzero().squeeze(1);
        auto places = std::get<1>(at::sort(x.index_select(1, allowed), /*stable=*/true, 1, /*descending=*/true));
        auto chosen = allowed.index_select(0, places.narrow(1, 0, count).reshape(-1)).view({rows, count});
        give(values, at::log_softmax(x, 1).gather(1, chosen));
        give(ids, chosen);
    });
}

CTStatus ct_has_cached_attention(CTTensor query, bool *out) {
    return protect([&] {
        const auto &q = get(query);
        *out = false;
#if defined(__x86_64__)
        *out = uses(Kernel::cached_attention) && q.device().is_cpu() && q.scalar_type() == at::kFloat && !needs_gradient(q);
#endif
    });
}

CTStatus ct_cached_attention(CTTensor query, const CTTensor *memory, const int64_t *starts, int32_t count, const int32_t *slots,
                             int64_t length, CTTensor mask, double scale, CTTensor *out) {
    return protect([&] {
#if defined(__x86_64__)
        const auto &q = get(query);
        TORCH_CHECK(q.dim() == 3 && q.scalar_type() == at::kFloat && q.device().is_cpu() && cpu().has_avx2 && count > 0 &&
                        starts[0] == 0 && length > 0,
                    "cached attention of queries ", q.sizes(), " over ", count, " segments");
        const auto rows = q.size(0), heads = q.size(1), d = q.size(2), width = heads * d;
        auto queries = q.stride(2) == 1 && q.stride(1) == d ? q : q.contiguous();
        auto segments = list(memory, count);
        // Where the keys of each position lie, slot 0; slots are `strides` apart.
        std::vector<const float *> bases(length);
        std::vector<int64_t> strides(length), limits(length);
        for (int32_t i = 0; i < count; i++) {
            const auto &segment = segments[i];
            const auto end = i + 1 < count ? starts[i + 1] : length;
            TORCH_CHECK(segment.is_contiguous() && segment.scalar_type() == at::kFloat && segment.device().is_cpu() &&
                            segment.dim() == 5 && segment.size(2) == 2 && segment.size(3) == heads && segment.size(4) == d &&
                            starts[i] <= end && end <= length && end - starts[i] <= segment.size(1),
                        "segment ", i, " of a cache: ", segment.sizes(), " for positions ", starts[i], " to ", end);
            for (auto s = starts[i]; s < end; s++) {
                bases[s] = segment.const_data_ptr<float>() + (s - starts[i]) * 2 * width;
                strides[s] = segment.size(1) * 2 * width;
                limits[s] = segment.size(0);
            }
        }
        for (int64_t i = 0; i < rows * length; i++) {
            TORCH_CHECK(slots[i] >= 0 && slots[i] < limits[i % length], "slot ", slots[i], " of ", limits[i % length]);
        }
        at::Tensor allowed;
        if (mask != nullptr) {
            TORCH_CHECK(get(mask).scalar_type() == at::kBool && get(mask).dim() == 2, "mask ", get(mask).sizes());
            allowed = get(mask).expand({rows, length}).contiguous();
        }
        shim::count(Kernel::cached_attention);
        auto result = at::empty({rows, width}, q.options());
        auto *ys = result.mutable_data_ptr<float>();
        const auto *qs = queries.const_data_ptr<float>();
        const auto apart = queries.stride(0);
        const auto grain = std::max<int64_t>(1, 32768 / (length * width));
        at::parallel_for(0, rows, grain, [&](int64_t first, int64_t last) {
            std::vector<const float *> keys(length);
            std::vector<float> weights(heads * ((length + 7) / 8 * 8));
            for (auto row = first; row < last; row++) {
                for (int64_t s = 0; s < length; s++) keys[s] = bases[s] + slots[row * length + s] * strides[s];
                attend_row(qs + row * apart, keys.data(), allowed.defined() ? allowed.const_data_ptr<bool>() + row * length : nullptr,
                           length, heads, d, static_cast<float>(scale), weights.data(), ys + row * width);
            }
        });
        give(out, result);
#else
        TORCH_CHECK(false, "cached attention has no kernel for this CPU");
#endif
    });
}

CTStatus ct_linear_cross_entropy(CTTensor x, CTTensor weight, CTTensor targets, int64_t piece, CTTensor *out) {
    return protect([&] {
        const auto &input = get(x), &w = get(weight);
        TORCH_CHECK(input.dim() == 2 && get(targets).dim() == 1 && get(targets).size(0) == input.size(0), "states ",
                    input.sizes(), " and targets ", get(targets).sizes());
        if (auto dtype = autocast_dtype(input)) {
            // In one piece: sums of narrow numbers over several would lose more than the buffer saves.
            give(out, LinearCrossEntropy::apply(input.to(*dtype), cast_weight(w, *dtype), get(targets),
                                                std::max<int64_t>(1, input.size(0)), at::GradMode::is_enabled()));
            return;
        }
        give(out, LinearCrossEntropy::apply(input, w, get(targets), piece, at::GradMode::is_enabled()));
    });
}

}  // extern "C"
