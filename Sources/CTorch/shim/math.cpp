// Elementwise operations and reductions, chosen by the enums of ctorch.h.
#include "protect.h"

using namespace shim;

static at::Tensor unary(int32_t op, const at::Tensor &a) {
    switch (op) {
        case CT_NEG: return at::neg(a);
        case CT_ABS: return at::abs(a);
        case CT_EXP: return at::exp(a);
        case CT_LOG: return at::log(a);
        case CT_SQRT: return at::sqrt(a);
        case CT_RSQRT: return at::rsqrt(a);
        case CT_SIN: return at::sin(a);
        case CT_COS: return at::cos(a);
        case CT_TANH: return at::tanh(a);
        case CT_SIGMOID: return at::sigmoid(a);
        case CT_RELU: return at::relu(a);
        case CT_SILU: return at::silu(a);
        case CT_GELU: return at::gelu(a);
        case CT_GELU_TANH: return at::gelu(a, "tanh");
        case CT_QUICK_GELU: return quick_gelu(a);
        case CT_ROUND: return at::round(a);
        case CT_SQUARE: return at::square(a);
        case CT_LOGICAL_NOT: return at::logical_not(a);
        case CT_ISFINITE: return at::isfinite(a);
    }
    TORCH_CHECK(false, "unknown unary operation ", op);
}

static at::Tensor binary(int32_t op, const at::Tensor &a, const at::Tensor &b) {
    switch (op) {
        case CT_ADD: return at::add(a, b);
        case CT_SUB: return at::sub(a, b);
        case CT_MUL: return at::mul(a, b);
        case CT_DIV: return at::div(a, b);
        case CT_POW: return at::pow(a, b);
        case CT_MAXIMUM: return at::maximum(a, b);
        case CT_EQ: return at::eq(a, b);
        case CT_NE: return at::ne(a, b);
        case CT_LT: return at::lt(a, b);
        case CT_LE: return at::le(a, b);
        case CT_GT: return at::gt(a, b);
        case CT_GE: return at::ge(a, b);
        case CT_AND: return at::logical_and(a, b);
        case CT_OR: return at::logical_or(a, b);
        case CT_MATMUL: return at::matmul(a, b);
        case CT_REMAINDER: return at::remainder(a, b);
    }
    TORCH_CHECK(false, "unknown binary operation ", op);
}

static at::Tensor binary_scalar(int32_t op, const at::Tensor &a, double b) {
    switch (op) {
        case CT_ADD: return at::add(a, b);
        case CT_SUB: return at::sub(a, b);
        case CT_MUL: return at::mul(a, b);
        case CT_DIV: return at::div(a, b);
        case CT_POW: return at::pow(a, b);
        case CT_MAXIMUM: return at::clamp_min(a, b);
        case CT_EQ: return at::eq(a, b);
        case CT_NE: return at::ne(a, b);
        case CT_LT: return at::lt(a, b);
        case CT_LE: return at::le(a, b);
        case CT_GT: return at::gt(a, b);
        case CT_GE: return at::ge(a, b);
        case CT_REMAINDER: return at::remainder(a, b);
    }
    TORCH_CHECK(false, "binary operation ", op, " takes no scalar");
}

static at::Tensor binary_scalar_first(int32_t op, double a, const at::Tensor &b) {
    switch (op) {
        case CT_SUB: return at::rsub(b, a);
        case CT_DIV: return at::reciprocal(b) * a;
        case CT_POW: return at::pow(a, b);
    }
    return binary_scalar(op, b, a);
}

static at::Tensor reduce(int32_t op, const at::Tensor &a, at::IntArrayRef dims, bool keep) {
    auto one = [&] {
        TORCH_CHECK(dims.size() == 1, "this reduction runs along one dimension, ", dims.size(), " given");
        return dims[0];
    };
    switch (op) {
        case CT_SUM: return dims.empty() ? at::sum(a) : at::sum(a, dims, keep);
        case CT_MEAN: return dims.empty() ? at::mean(a) : at::mean(a, dims, keep);
        case CT_AMAX: return at::amax(a, dims, keep);
        case CT_AMIN: return at::amin(a, dims, keep);
        case CT_VAR: return dims.empty() ? at::var(a, true) : at::var(a, dims, true, keep);
        case CT_NORM2: return dims.empty() ? at::norm(a) : at::norm(a, 2, dims, keep);
        case CT_LOGSUMEXP: return at::logsumexp(a, dims, keep);
        case CT_ARGMAX: return dims.empty() ? at::argmax(a) : at::argmax(a, one(), keep);
        case CT_ANY: return dims.empty() ? at::any(a) : at::any(a, one(), keep);
        case CT_ALL: return dims.empty() ? at::all(a) : at::all(a, one(), keep);
        case CT_CUMSUM: return at::cumsum(a, one());
    }
    TORCH_CHECK(false, "unknown reduction ", op);
}

extern "C" {

CTStatus ct_unary(int32_t op, CTTensor a, CTTensor *out) {
    return protect([&] { give(out, unary(op, get(a))); });
}

CTStatus ct_binary(int32_t op, CTTensor a, CTTensor b, CTTensor *out) {
    return protect([&] { give(out, binary(op, get(a), get(b))); });
}

CTStatus ct_binary_scalar(int32_t op, CTTensor a, double b, bool reversed, CTTensor *out) {
    return protect([&] { give(out, reversed ? binary_scalar_first(op, b, get(a)) : binary_scalar(op, get(a), b)); });
}

CTStatus ct_reduce(int32_t op, CTTensor a, const int64_t *dims, int32_t count, bool keep, CTTensor *out) {
    return protect([&] { give(out, reduce(op, get(a), sizes(dims, count), keep)); });
}

CTStatus ct_clamp(CTTensor a, double low, double high, CTTensor *out) {
    return protect([&] { give(out, at::clamp(get(a), low, high)); });
}

CTStatus ct_where(CTTensor condition, CTTensor a, CTTensor b, CTTensor *out) {
    return protect([&] { give(out, at::where(get(condition), get(a), get(b))); });
}

CTStatus ct_masked_fill(CTTensor a, CTTensor mask, double value, CTTensor *out) {
    return protect([&] { give(out, at::masked_fill(get(a), get(mask), value)); });
}

CTStatus ct_softmax(CTTensor a, int64_t dim, bool logarithm, CTTensor *out) {
    return protect([&] { give(out, logarithm ? at::log_softmax(get(a), dim) : at::softmax(get(a), dim)); });
}

CTStatus ct_topk(CTTensor a, int64_t k, int64_t dim, CTTensor *values, CTTensor *indices) {
    return protect([&] {
        auto [v, i] = at::topk(get(a), k, dim);
        give(values, v);
        give(indices, i);
    });
}

CTStatus ct_sort(CTTensor a, int64_t dim, bool descending, CTTensor *values, CTTensor *indices) {
    return protect([&] {
        auto [v, i] = at::sort(get(a), /*stable=*/true, dim, descending);
        give(values, v);
        give(indices, i);
    });
}

CTStatus ct_normalize(CTTensor a, int64_t dim, double eps, CTTensor *out) {
    return protect([&] { give(out, get(a) / get(a).norm(2, dim, /*keepdim=*/true).clamp_min(eps)); });
}

}  // extern "C"
