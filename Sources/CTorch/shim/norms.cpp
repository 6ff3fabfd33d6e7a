// Sum and layer normalisation in one pass: what a pre-norm transformer does between its layers.
//
// Composed, a residual sum, its normalisation and the cast that autocast asks for pass over memory one after the other, and four
// times more on the way back. Here the sum stays in the first cache while it is normalised and rounded.
#include "lanes.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <vector>

#include "kernels.h"
#include "protect.h"

using namespace shim;

namespace {

/// Whether the pass below takes these: a float32 stream of whole lanes, what is added to it in float32 or bfloat16.
bool takes(const at::Tensor &x, const std::optional<at::Tensor> &y, const at::Tensor &weight, const at::Tensor &bias, at::ScalarType dtype) {
#if defined(__x86_64__)
    auto is_float = [](const at::Tensor &t) { return t.is_cpu() && t.scalar_type() == at::kFloat; };
    const bool is_narrow = y && y->scalar_type() == at::kBFloat16;
    return uses(Kernel::added_norm) && is_float(x) && x.dim() >= 1 && x.numel() > 0 && x.size(-1) % lanes::kCount == 0 && is_float(weight) &&
           is_float(bias) && weight.numel() == x.size(-1) && bias.numel() == x.size(-1) &&
           (!y || (y->is_cpu() && (is_narrow || y->scalar_type() == at::kFloat) && y->sizes() == x.sizes())) &&
           (dtype == at::kFloat || dtype == at::kBFloat16);
#else
    return false;
#endif
}

#if defined(__x86_64__)

constexpr int64_t W = lanes::kCount;

/// s = x + y and n = (s - mean) / deviation · weight + bias of one row.
template <typename Added, typename Number>
SHIM_LANES void normalise(const float *x, const Added *y, const float *weight, const float *bias, float eps, int64_t width, float *s,
                          Number *n, float *mean, float *inverse) {
    __m512 sum = _mm512_setzero_ps();
    for (int64_t c = 0; c < width; c += W) {
        __m512 v = lanes::load(x + c);
        if (y != nullptr) {
            v = _mm512_add_ps(v, lanes::load(y + c));
            lanes::store(s + c, v);
        }
        sum = _mm512_add_ps(sum, v);
    }
    const float *from = y != nullptr ? s : x;
    *mean = _mm512_reduce_add_ps(sum) / static_cast<float>(width);
    const __m512 middle = _mm512_set1_ps(*mean);
    __m512 squares = _mm512_setzero_ps();
    for (int64_t c = 0; c < width; c += W) {
        const __m512 d = _mm512_sub_ps(lanes::load(from + c), middle);
        squares = _mm512_fmadd_ps(d, d, squares);
    }
    *inverse = 1 / std::sqrt(_mm512_reduce_add_ps(squares) / static_cast<float>(width) + eps);
    const __m512 factor = _mm512_set1_ps(*inverse);
    for (int64_t c = 0; c < width; c += W) {
        const __m512 unit = _mm512_mul_ps(_mm512_sub_ps(lanes::load(from + c), middle), factor);
        lanes::store(n + c, _mm512_fmadd_ps(unit, lanes::load(weight + c), lanes::load(bias + c)));
    }
}

/// The gradient of s: of its norm, dn, and its own, ds (or null); also in the dtype of what was added; adds to those of weight and
/// bias where they are wanted.
template <typename Number, typename Added>
SHIM_LANES void normalise_backward(const float *s, const Number *dn, const float *ds, const float *weight, float mean, float inverse,
                                   int64_t width, float *dx, Added *dy, float *dweight, float *dbias) {
    const __m512 middle = _mm512_set1_ps(mean), factor = _mm512_set1_ps(inverse);
    __m512 sum = _mm512_setzero_ps(), products = _mm512_setzero_ps();
    for (int64_t c = 0; c < width; c += W) {
        const __m512 unit = _mm512_mul_ps(_mm512_sub_ps(lanes::load(s + c), middle), factor);
        const __m512 d = lanes::load(dn + c), g = _mm512_mul_ps(d, lanes::load(weight + c));
        sum = _mm512_add_ps(sum, g);
        products = _mm512_fmadd_ps(g, unit, products);
        if (dweight != nullptr) {
            lanes::store(dweight + c, _mm512_fmadd_ps(d, unit, lanes::load(dweight + c)));
            lanes::store(dbias + c, _mm512_add_ps(d, lanes::load(dbias + c)));
        }
    }
    const __m512 a = _mm512_set1_ps(_mm512_reduce_add_ps(sum) / static_cast<float>(width));
    const __m512 b = _mm512_set1_ps(_mm512_reduce_add_ps(products) / static_cast<float>(width));
    for (int64_t c = 0; c < width; c += W) {
        const __m512 unit = _mm512_mul_ps(_mm512_sub_ps(lanes::load(s + c), middle), factor);
        const __m512 g = _mm512_mul_ps(lanes::load(dn + c), lanes::load(weight + c));
        __m512 v = _mm512_mul_ps(factor, _mm512_sub_ps(_mm512_sub_ps(g, a), _mm512_mul_ps(unit, b)));
        if (ds != nullptr) v = _mm512_add_ps(v, lanes::load(ds + c));
        lanes::store(dx + c, v);
        if (dy != nullptr) lanes::store(dy + c, v);
    }
}

/// Calls `body` with a null pointer of the C++ type of `dtype`.
template <typename Body>
void with_type(at::ScalarType dtype, Body body) {
    if (dtype == at::kBFloat16) body(static_cast<at::BFloat16 *>(nullptr));
    else body(static_cast<float *>(nullptr));
}

struct Result {
    at::Tensor sum, normed, means, inverses;
};

Result run(const at::Tensor &x, const std::optional<at::Tensor> &y, const at::Tensor &weight, const at::Tensor &bias, double eps,
           at::ScalarType dtype) {
    const int64_t width = x.size(-1), rows = x.numel() / width;
    auto in = x.contiguous(), w = weight.contiguous(), b = bias.contiguous();
    auto added = y ? y->contiguous() : at::Tensor();
    Result r{y ? at::empty(x.sizes(), x.options()) : x, at::empty(x.sizes(), x.options().dtype(dtype)), at::empty({rows}, x.options()),
             at::empty({rows}, x.options())};
    const float *xs = in.const_data_ptr<float>(), *ws = w.const_data_ptr<float>(), *bs = b.const_data_ptr<float>();
    float *sums = y ? r.sum.mutable_data_ptr<float>() : nullptr;
    float *means = r.means.mutable_data_ptr<float>(), *inverses = r.inverses.mutable_data_ptr<float>();
    with_type(y ? y->scalar_type() : at::kFloat, [&]<typename Added>(Added *) {
        with_type(dtype, [&]<typename Number>(Number *) {
            const Added *ys = y ? added.const_data_ptr<Added>() : nullptr;
            Number *ns = r.normed.mutable_data_ptr<Number>();
            at::parallel_for(0, rows, std::max<int64_t>(1, 16384 / width), [&](int64_t first, int64_t last) {
                for (int64_t i = first; i < last; i++) {
                    const int64_t at = i * width;
                    normalise(xs + at, ys ? ys + at : nullptr, ws, bs, static_cast<float>(eps), width, sums ? sums + at : nullptr, ns + at,
                              means + i, inverses + i);
                }
            });
        });
    });
    return r;
}

/// Gives the sum and its norm; the sum of nothing is x itself, whose gradient then comes through the norm alone.
struct AddedNorm : torch::autograd::Function<AddedNorm> {
    static torch::autograd::variable_list forward(torch::autograd::AutogradContext *context, const at::Tensor &x,
                                                  const std::optional<at::Tensor> &y, const at::Tensor &weight, const at::Tensor &bias,
                                                  double eps, int64_t dtype) {
        auto r = run(x, y, weight, bias, eps, static_cast<at::ScalarType>(dtype));
        context->save_for_backward({r.sum, weight, r.means, r.inverses});
        context->saved_data["added"] = y ? static_cast<int64_t>(y->scalar_type()) : int64_t(-1);
        context->saved_data["y_grad"] = y && y->requires_grad();
        context->saved_data["affine_grad"] = weight.requires_grad() || bias.requires_grad();
        context->set_materialize_grads(false);
        if (!y) return {r.normed};
        return {r.normed, r.sum};
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context, torch::autograd::variable_list gradients) {
        auto saved = context->get_saved_variables();
        auto sum = saved[0].contiguous(), weight = saved[1].contiguous();
        const int64_t width = sum.size(-1), rows = sum.numel() / width, added = context->saved_data["added"].toInt();
        const bool wants_y = context->saved_data["y_grad"].toBool(), wants_affine = context->saved_data["affine_grad"].toBool();
        auto ds = added >= 0 && gradients[1].defined() ? gradients[1].to(at::kFloat).contiguous() : at::Tensor();
        if (!gradients[0].defined()) {
            auto dy = wants_y && ds.defined() ? ds.to(static_cast<at::ScalarType>(added)) : at::Tensor();
            return {ds, dy, {}, {}, {}, {}};
        }
        auto dn = gradients[0].contiguous();
        const bool wants_narrow = wants_y && added == static_cast<int64_t>(at::kBFloat16);
        auto dx = at::empty(sum.sizes(), sum.options());
        auto dy = wants_narrow ? at::empty(sum.sizes(), sum.options().dtype(at::kBFloat16)) : at::Tensor();
        // Sums over rows in a fixed order: parts of as many rows each, whatever the number of threads.
        constexpr int64_t kPart = 256;
        const int64_t parts = (rows + kPart - 1) / kPart;
        auto partial = wants_affine ? at::zeros({2, parts, width}, sum.options()) : at::Tensor();
        const float *ss = sum.const_data_ptr<float>(), *dss = ds.defined() ? ds.const_data_ptr<float>() : nullptr;
        const float *ws = weight.const_data_ptr<float>(), *means = saved[2].const_data_ptr<float>(), *inverses = saved[3].const_data_ptr<float>();
        float *dxs = dx.mutable_data_ptr<float>(), *sums = wants_affine ? partial.mutable_data_ptr<float>() : nullptr;
        at::BFloat16 *dys = wants_narrow ? dy.mutable_data_ptr<at::BFloat16>() : nullptr;
        with_type(dn.scalar_type(), [&]<typename Number>(Number *) {
            const Number *dns = dn.const_data_ptr<Number>();
            at::parallel_for(0, parts, 1, [&](int64_t first, int64_t last) {
                for (int64_t i = first * kPart; i < std::min(rows, last * kPart); i++) {
                    const int64_t at = i * width, part = i / kPart * width;
                    normalise_backward(ss + at, dns + at, dss ? dss + at : nullptr, ws, means[i], inverses[i], width, dxs + at,
                                       dys ? dys + at : nullptr, sums ? sums + part : nullptr, sums ? sums + parts * width + part : nullptr);
                }
            });
        });
        if (wants_y && !wants_narrow) dy = dx;
        at::Tensor dweight, dbias;
        if (wants_affine) {
            dweight = partial[0].sum(0);
            dbias = partial[1].sum(0);
        }
        return {dx, dy, dweight, dbias, {}, {}};
    }
};

#endif

}  // namespace

extern "C" {

CTStatus ct_added_layer_norm(CTTensor x, CTTensor added, CTTensor weight, CTTensor bias, double eps, CTTensor *sum, CTTensor *normed) {
    return protect([&] {
        auto &in = get(x), &w = get(weight), &b = get(bias);
        auto y = optional(added);
        const auto dtype = autocast_dtype(in).value_or(in.scalar_type());
#if defined(__x86_64__)
        if (takes(in, y, w, b, dtype)) {
            count(Kernel::added_norm);
            if (needs_gradient(in) || (y && needs_gradient(*y)) || needs_gradient(w) || needs_gradient(b)) {
                auto both = AddedNorm::apply(in, y, w, b, eps, static_cast<int64_t>(dtype));
                give(sum, y ? both[1] : in);
                give(normed, both[0]);
            } else {
                auto r = run(in, y, w, b, eps, dtype);
                give(sum, r.sum);
                give(normed, r.normed);
            }
            return;
        }
#endif
        auto total = y ? in + *y : in;
        give(normed, at::layer_norm(total, {total.size(-1)}, widened(w, total), widened(b, total), eps));
        give(sum, total);
    });
}

}  // extern "C"
